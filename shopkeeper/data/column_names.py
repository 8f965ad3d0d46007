"""What shops call their columns, in English and some other languages, by our words.

Collected from exports of shop systems and tills. Names are compared without case, accents, spaces
and signs; a name that is not here is judged by its values alone, in `guess`.
"""

import unicodedata
from functools import cache

PRODUCT = "product"
"""The word for a product's id, which is `id` among products and `item_id` elsewhere."""

NAMES = {
    PRODUCT: """item_id item itemid sku skuid product product_id productid prod_id pid product_code
        stock_code article article_id articleid article_number item_code item_number item_no
        product_no product_number asin artikel artikel_id artikelnr artikelnummer artikel_nummer
        produkt produkt_id produktnummer ref reference code_article code_produit id_produit produit
        codigo codigo_producto id_producto producto referencia codice codice_prodotto id_prodotto
        prodotto articolo codice_articolo varenr varenummer kod_produktu 商品id 商品编号 商品 货号
        产品id 产品编号 商品コード 商品番号""",
    "user_id": """user_id user userid customer customer_id customerid customer_no customer_number
        client client_id id_client shopper shopper_id buyer buyer_id member member_id account_id uid
        household_id kunde kunden_id kundennr kundennummer kunden_nr numero_client cliente
        id_cliente cliente_id utente id_utente klant klant_id klantnr klantnummer klient
        id_klienta kundenummer reviewer_id reviewerid 用户id 用户 客户 客户id 客户编号 会员 会员id
        顧客id""",
    "visitor_id": """visitor_id visitor visitorid anonymous_id device_id cookie cookie_id
        full_visitor_id user_pseudo_id besucher_id id_visiteur 访客id""",
    "session_id": """session_id session sessionid visit_id user_session sitzung sitzungs_id sesion
        id_sesion sessione 会话id""",
    "transaction_id": """transaction_id transaction transactionid order order_id orderid
        order_number order_no order_name invoice invoice_id invoice_no invoiceno invoice_number
        receipt receipt_id receipt_no basket_id cart_id bill_no bon bonnummer beleg belegnr
        belegnummer bestellung bestellnr bestellnummer auftrag auftragsnr auftragsnummer rechnung
        rechnungsnr rechnungsnummer commande id_commande num_commande numero_commande facture
        ticket pedido id_pedido numero_pedido factura ordine id_ordine numero_ordine fattura
        bestelnummer ordrenummer zamowienie 订单号 订单编号 订单id 订单 注文番号""",
    "event_name": """event_name event eventname event_type action action_type behavior behavior_type
        activity interaction type_event ereignis aktion evento accion azione tipo_evento evenement
        gebeurtenis 行为 行为类型 事件 事件类型""",
    "time": """time timestamp ts date datetime date_time event_time event_date created created_at
        created_on order_time order_date ordered_at invoice_date purchase_date purchased_at
        transaction_date transaction_timestamp sale_date sold_at review_date review_time
        unix_review_time submitted_at datum zeit zeitpunkt zeitstempel bestelldatum kaufdatum
        rechnungsdatum date_commande date_achat horodatage fecha fecha_hora fecha_pedido
        fecha_compra data data_ora data_ordine data_acquisto tijd tijdstip besteldatum
        tidspunkt dato 时间 日期 下单时间 时间戳 注文日時 日時""",
    "quantity": """quantity qty count units unit_count pieces num_items menge anzahl stueck stuck
        stueckzahl quantite qte nombre_articles cantidad unidades quantita aantal antal ilosc 数量
        件数 個数""",
    "price": """price unit_price unitprice item_price product_price regular_price list_price
        current_price retail_price price_usd price_eur price_gbp price_cents price_pence preis
        einzelpreis stueckpreis verkaufspreis bruttopreis prix prix_unitaire prix_vente precio
        precio_unitario precio_venta pvp prezzo prezzo_unitario prijs stukprijs pris cena 价格 单价
        售价 価格 単価""",
    "sale_price": """sale_price special_price discounted_price promo_price offer_price
        angebotspreis aktionspreis prix_promo prix_solde precio_oferta prezzo_scontato 促销价
        折扣价""",
    "cost_of_goods_sold": """cost cost_price cogs purchase_price unit_cost wholesale_price
        cost_of_goods_sold einkaufspreis prix_achat precio_compra costo prezzo_acquisto
        inkoopprijs 成本 成本价""",
    "discount": "discount discount_amount rabatt nachlass remise descuento sconto korting 折扣",
    "currency": """currency currency_code waehrung wahrung devise moneda divisa valuta 币种 货币
        通貨""",
    "coupon": "coupon coupon_code voucher discount_code promo_code gutschein cupon 优惠券",
    "search_term": """search_term query search search_query keyword keywords q suchbegriff suche
        suchanfrage recherche busqueda ricerca zoekterm 搜索词 关键词""",
    "country": "country country_code land pays pais paese kraj 国家 国",
    "location_id": """location_id store store_id shop_id branch branch_id outlet filiale
        filialnummer magasin id_magasin tienda id_tienda negozio winkel 门店 门店id 店舗""",
    "device": "device device_type platform geraet gerat appareil dispositivo 设备",
    "referrer": "referrer referer referrer_url page_referrer",
    "index": "index position rank place position_in_list",
    "request_id": "request_id query_id recommendation_id",
    "item_list_id": "item_list_id list_id list list_name",
    "title": """title product_title name product_name productname item_name item_title
        bezeichnung artikelbezeichnung artikelname produktname produktbezeichnung titel titre nom
        nom_produit libelle designation titulo nombre nombre_producto nome nome_prodotto titolo
        naam productnaam produktnavn navn nazwa nazwa_produktu 名称 商品名称 商品名 标题
        产品名称""",
    "description": """description desc long_description product_description body body_html
        short_description beschreibung artikelbeschreibung descripcion descrizione omschrijving
        beskrivelse opis 描述 商品描述 説明""",
    "product_type": """product_type category categories category_name category_path product_category
        department kategorie kategorien warengruppe rubrik categorie rayon famille categoria
        familia reparto categorie_produit afdeling kategori kategoria 类别 分类 类目 カテゴリ""",
    "brand": """brand brand_name manufacturer vendor maker marke hersteller marque fabricant marca
        fabricante produttore merk fabrikant maerke producent 品牌 ブランド""",
    "size": "size sizes groesse grosse taille talla taglia maat storrelse rozmiar 尺寸 尺码 サイズ",
    "color": "color colour farbe couleur colore kleur farve kolor 颜色 色 カラー",
    "item_group_id": """item_group_id parent_sku parent_id parent group_id model_id style_id
        variant_group handle master_sku""",
    "availability": """availability available in_stock stock stock_status stock_level stock_quantity
        inventory inventory_quantity on_hand verfuegbarkeit verfugbarkeit lagerbestand bestand lager
        disponibilite disponibilidad disponibilita existencias stock_disponible giacenza voorraad
        lagerstatus 库存 在庫""",
    "link": "link url product_url product_link permalink page_url lien enlace 链接 商品链接",
    "image_link": """image_link image image_url image_src img img_url picture picture_url photo
        photo_url thumbnail bild bild_url bildlink foto lien_image imagen immagine afbeelding 图片
        图片链接 画像""",
    "updated": "updated updated_at last_updated modified modified_at last_modified geaendert maj",
    "gtin": "gtin gtin13 ean ean13 upc barcode isbn codigo_barras code_barre strichcode 条形码",
    "mpn": "mpn manufacturer_part_number hersteller_nr part_number",
    "material": "material materiau materiale materiaal fabric stoff 材质",
    "gender": "gender geschlecht genre genero genere geslacht 性别",
    "condition": "condition zustand etat estado_producto condizione",
    "age_group": "age_group altersgruppe",
    "rating": """rating stars star_rating score overall review_rating review_score rate grade
        bewertung sterne punkte note etoiles puntuacion valoracion estrellas valutazione voto
        beoordeling waardering ocena 评分 评级 星级 評価""",
    "text": """text review review_text review_body reviewtext comment comments content feedback
        message bewertungstext kommentar rezension commentaire avis comentario resena recensione
        commento opmerking 评论 评论内容 评价 レビュー""",
    "review_title": "review_title reviewtitle summary headline review_headline subject betreff",
    "review_id": "review_id reviewid bewertung_id id_avis",
    "event_id": "event_id eventid event_uuid row_id line_id uuid",
    "attribute": "attribute attribute_name trait property merkmal attribut atributo 属性",
    "value": "value attribute_value trait_value wert valeur valor valore 值",
    "promotion_id": """promotion_id promotion promo promo_id campaign campaign_id kampagne aktion_id
        campagne id_promo campana 活动id 促销id""",
    "promotion_name": "promotion_name promo_name campaign_name kampagnenname 活动名称",
    "start": """start start_date starts_at start_time valid_from from begin beginn gueltig_ab debut
        date_debut inicio fecha_inicio inizio data_inizio 开始时间 开始日期""",
    "end": """end end_date ends_at end_time valid_to valid_until until ende gueltig_bis fin date_fin
        fecha_fin fine data_fine 结束时间 结束日期""",
}


def plain(name: str) -> str:
    """Return a name in small letters, without accents, spaces and signs."""
    name = name.replace("ß", "ss")
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in letters if letter.isalnum())


@cache
def words_of() -> dict[str, str]:
    """Return our word for each known name, the name as `plain` writes it."""
    return {plain(name): word for word, names in NAMES.items() for name in [word, *names.split()]}


def words_for(name: str) -> list[str]:
    """Return our words for a column, the likeliest first; none where its name says nothing."""
    whole = plain(name)
    known = words_of()
    if whole in known:
        return [known[whole]]
    # "Lineitem price", "order_total_qty": what a name ends with says most.
    parts = "".join(letter if letter.isalnum() else " " for letter in _split(name)).split()
    ends = ["".join(plain(part) for part in parts[start:]) for start in range(1, len(parts))]
    return list(dict.fromkeys(known[end] for end in ends if end in known))


def _split(name: str) -> str:
    """Part `unitPrice` in two."""
    return "".join(
        f" {letter}" if letter.isupper() and place and name[place - 1].islower() else letter
        for place, letter in enumerate(name)
    )
