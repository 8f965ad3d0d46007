"""Makes readable titles of the capitals and abbreviations that tills write.

`FRZN ICE`, `ICE - CRUSHED/CUBED` becomes `Crushed/Cubed Ice`. The words were collected by reading
what The Complete Journey writes; a word that is not listed is only put in title case.
"""

import re
from functools import cache

PHRASES = {
    "DRUG GM": "Drug & General Merchandise",
    "CNTRL/STORE SUP": "Store Supplies",
    "PROD-WHS SALES": "Produce Warehouse Sales",
    "GM MERCH EXP": "General Merchandise Expenses",
    "ELECT &PLUMBING": "Electrical & Plumbing",
    "CHARITABLE CONT": "Charitable Contributions",
    "BEERALEMALT LIQUORS": "Beer, Ale & Malt Liquor",
    "SFT DRNK 2 LITER BTL CARB INCL": "Soft Drink, 2-Litre Bottle",
    "SOFT DRINKS 12/18&15PK CAN CAR": "Soft Drinks, Can Carton",
    "SFT DRNK MLT-PK BTL CARB (EXCP": "Soft Drinks, Multi-Pack Bottles",
    "SFT DRNK SNGL SRV BTL CARB (EX": "Soft Drink, Single-Serve Bottle",
    "CANDY BARS (SINGLES)(INCLUDING": "Candy Bar (Single)",
    "MISCELLANEOUS CANDY (INCLUDING": "Assorted Candy",
    "RTS SOUP: CHUNKY/HOMESTYLE ET": "Chunky/Homestyle Ready-to-Serve Soup",
    "MEXICAN SAUCESSALSAPICANTEE": "Mexican Sauce, Salsa & Picante",
    "YOGURT NOT MULTI-PACKS": "Yogurt (Single)",
    "CARDS EVERYDAY": "Everyday Greeting Cards",
    "CARDS SEASONAL": "Seasonal Greeting Cards",
    "GIFT-WRAP EVERYDAY": "Everyday Gift Wrap",
    "PARTY EVERYDAY": "Everyday Party Supplies",
    "SS ECONOMY ENTREES/DINNERS ALL": "Single-Serve Economy Entrees/Dinners",
    "FRZN SS PREMIUM ENTREES/DNRS/N": "Frozen Single-Serve Premium Entrees (Nutritional)",
    "FRZN SS PREMIUM ENTREES/DNRS/T": "Frozen Single-Serve Premium Entrees (Traditional)",
    "FRZN MULTI SERVE ENTREES ALL": "Frozen Multi-Serve Entrees",
    "PREMIUM COOKIES (EX: PEPPERIDG": "Premium Cookies",
    "CHEESE CRACKERS (CHEEZ-ITS/GOL": "Cheese Crackers",
    "ANTIPERSPIRANTS ONLY (ALL OTHE": "Antiperspirant",
    "SGL SV/VEND MACH SNACKS CHIP/P": "Single-Serve Vending Snacks",
    "DAIRY CASE 100% PURE JUICE - O": "Chilled 100% Pure Orange Juice",
    "MAINSTREAM WHEAT/MULTIGRAIN BR": "Mainstream Wheat/Multigrain Bread",
    "TEA BOTTLES WITH SWEETENER/SUG": "Bottled Sweetened Tea",
    "DRY CAT FOOD SUP PREM (ONE/NUT": "Dry Cat Food, Super Premium",
    "CAN CATFD GOURMET/SUP PREM (GR": "Canned Cat Food, Gourmet/Super Premium",
    "SEMI-SOLID SALAD DRESSING MAY": "Mayonnaise & Semi-Solid Salad Dressing",
    "FEM. HYGN.NAPKINS": "Feminine Hygiene Napkins",
    "FD WRAPS/BAGS/TRSH BG": "Food Wraps, Bags & Trash Bags",
    "COUPONS/STORE & MFG": "Store & Manufacturer Coupons",
    "COUPON/MISC ITEMS": "Coupons & Assorted Items",
    "BABY HBC": "Baby Health & Beauty Care",
    "MISCELLANEOUS HBC": "Assorted Health & Beauty Care",
    "NATURAL HBC": "Natural Health & Beauty Care",
    "GASOLINE-REG UNLEADED": "Regular Unleaded Gasoline",
    "SEASONAL CANDY BAGS NON-CHOCOL": "Seasonal Candy Bags (Not Chocolate)",
    "CANDY BAGS-NON CHOCOLATE": "Candy Bags (Not Chocolate)",
    "CHILDRENS LOW END": "Children's Picture Books",
    "DVD S": "DVDs",
    "PROD SUPPLIES": "Produce Supplies",
    "SOLID/STK DEODORANTS": "Solid/Stick Deodorant",
    "J-HOOKS": "Shelf-Edge Items",
    "HARDBACK/TRADE EVERYDAY": "Hardback & Trade Books",
    "FLUID MILK WHITE ONLY": "White Milk",
    "CHOICE BEEF": "Choice Beef",
}
"""Phrases that no rule would read well, such as those cut off in the middle."""

_WORDS = """
ACC=Accessories ACCES=Accessories ACCESS=Accessories ACCS=Accessories ACCSS=Accessories
ACCESSIORES=Accessories ADDITI=Additives ALCOHLIC=Alcoholic APPL=Appliances ASCEPTIC=Aseptic
BBQ=BBQ BEV=Beverage BEVERAG=Beverages BG=Bag BK=Baked BKD=Baked
BLUBLKRASP=Blueberry/Blackberry/Raspberry BN=Bean BNDGES=Bandages BRD=Bread BRDS=Breads
BRKFST=Breakfast BRST=Breast BRSKT=Brisket BSKTS=Baskets BTH=Bath BTL=Bottle BTLS=Bottles
BTR=Butter CALC=Calculators CARB=Carbonated CATFD=Cat-Food CHIX=Chicken CKN=Chicken CHICK=Chicken
CHOC=Chocolate CHOCOCLATE=Chocolate CHOCOL=Chocolate CHOCOLA=Chocolate CHP=Chop CHS=Cheese
CIG=Cigarette CKTLS=Cocktails CKYS=Cookies CLEANE=Cleaner CLEANG=Cleaning CNC=Concentrate
CND=Candy CNDY=Candy CNDLES=Candles CNTRL=Control COCO=Cocoa COL=Cologne CONC=Concentrate
CRBNTD=Carbonated CRKR=Crackers CRMD=Creamed CTN=Carton DECAFFINATED=Decaffeinated DEOD=Deodorant
DEPT=Department DESE=Desserts DETE=Detergent DIAPR=Diaper DIPILATORIES=Depilatories
DISPOSIBLE=Disposable DNR=Dinner DNRS=Dinners DPS=Dips DRG=Drug DRINK=Drink DRNK=Drink
DRNKS=Drinks DRNKING=Drinking DRNKNG=Drinking DRNRS=Drainers DRSNG=Dressing DSH=Dish DVD=DVD
DVDS=DVDs DXM=DXM ECONOM=Economy ELECT=Electrical ENG=English ENTREES/SANDWIC=Entrees/Sandwiches
EXC= EXCE= EXCEPT= EXCP= EX= FAF=Frozen FASH=Fashion FD=Food FDS=Foods FEM=Feminine FLAV=Flavored
FLNK=Flank FLV=Flavored FLVR=Flavored FLVRD=Flavored FRD=Fried FRK=Fork FRS=Fresh FRTHR=Further
FRZ=Frozen FRZN=Frozen GDS=Goods GM=General-Merchandise GNG=Ginger GNGR=Ginger GOL= GRND=Ground
H=Home HALLOWEN=Halloween HBC=Health-&-Beauty HH=Household HOLDIAY=Holiday HNGRS=Hangers
HOUSEPLAY=Housewares HT=Hot HYGN=Hygiene II=II INCL= INCLUDI= INCLUDING= INDR=Indoor INF=Infant
INGRED=Ingredients INGREDIENTS=Ingredients IQF=Individually-Frozen ISOTONIC=Sports-Drink JCE=Juice
JU=Juice JUI=Juice JUIC=Juice LIF=Life LINAMENTS=Liniments LIQ=Liquid LIQS=Liquids
LNCHMT=Lunch-Meat LNDRY=Laundry LOAVE=Loaves LOZNG=Lozenges LRG=Large LSS=Less LTR=Litre
LUNCHMEAT=Lunch-Meat MACH=Machine MARINAD=Marinade MASSGRS=Massagers MEDICATE=Medicated
MEMORABLILIA=Memorabilia MERCH=Merchandise MFG=Manufacturer MINWTR=Mineral-Water MISC=Assorted
MISCELLANEOUS=Assorted MIXS=Mixes MLB=MLB MLK=Milk MLT=Multi MMK=Makeup MNR=Mineral MNERAL=Mineral
MNRL=Mineral MULT=Multi MUSTAR=Mustard MW=Microwave MX=Mix MXS=Mixes NAT=Natural NATRL=Natural
NDAIRY=Non-Dairy NFL=NFL NT=Non NTRTNL=Nutritional NZ=New-Zealand OCCAS=Occasion OJ=Orange-Juice
ORG=Organic ORGNZRS=Organizers OTC=OTC OTH=Other OTHE=Other OTYHER=Other OV=Oven OVE=Oven PAC=Pack
PEPPERIDG= PERRENIALS=Perennials PERSNL=Personal PICAN=Pecan PICKLD=Pickled PICKLS=Pickles
PICTUR=Picture PK=Pack PKG=Packaged PKGD=Packaged PKLD=Pickled PCKGD=Packaged PLANTR=Planters
PLSTC=Plastic PNCH=Punch PNT=Peanut PNUT=Peanut POINSETTA=Poinsettia PORTON=Portion PPK=Prepacked
PREM=Premium PREP=Prepared PREPORTND=Pre-Portioned PREPRD=Prepared PRESC=Prescription
PRESHCOOL=Preschool PRESLC=Pre-Sliced PRESLCD=Pre-Sliced PRSLC=Pre-Sliced PROD=Products
PRODU=Products PRODUC=Products PROMO=Promotion PROTIEN=Protein PRPCK=Prepacked PTTY=Patty
PWDR=Powder PWDRS=Powders QSR=Quick-Service RBR=Rubber RECHARABLE=Rechargeable
REFIGERATED=Refrigerated REFRGRATD=Refrigerated REFRI=Refrigerated REFRIG=Refrigerated REG=Regular
REPELLANTS=Repellents RETL=Retail RTD=Ready-to-Drink RTS=Ready-to-Serve RTW=Ready-to-Wear
RW=Random-Weight RX=Prescription SA= SAL=Salad SALD=Salad SAUS=Sausage SBT=Substitute SCE=Sauce
SEAFD=Seafood SEASO=Seasoning SFT=Soft SGL=Single SH=Shelf SHERBTS=Sherbets SHLDR=Shoulder
SHLFSH=Shellfish SHNK=Shank SLC=Sliced SLD=Salad SLG=Slicing SNDWCH=Sandwich SNGL=Single
SNKS=Snacks SNSL=Seasonal SOD=Soda SOULABLE=Soluble SOYNUTS=Soy-Nuts SPEC=Specialty
SPECILATY=Specialty SPECLTY=Specialty SPF=SPF SPLY=Supplies SPRD=Spread SPT=Sport SRV=Serve
SS=Single-Serve STK=Steak STR=Strainers STRP=Strip STW=Stew SUADE=Suede SUP=Super SUPP=Supplies
SUPPLEMEN=Supplement SUPPPLIES=Supplies SUPRT=Support SV=Serve SW=Sweet SWE=Sweetener
SWEETNERS=Sweeteners SWIN=Swim SWT=Sweet SYRNGS=Syringes SYRP=Syrup THN=Thin TISS=Tissue
TODD=Toddler TOM=Tomato TOMS=Tomatoes TORT=Tortilla TRAD=Traditional TRADITIONA=Traditional
TRAI=Trail TRANS=Transactions TRSH=Trash TV=TV UNDE=Under UNDERGARMEN=Undergarments
UNSWE=Unsweetened VAC=Vacuum VAL=Valentine VEG=Vegetable VEND=Vending VHS=VHS WAT=Water WATE=Water
WH=Whole WHL=Whole WHLSM=Wholesome WHS=Warehouse WORCHESTER=Worcester WRA=Wraps WT=Weight
WTR=Water XMAS=Christmas XPCTRNT=Expectorant YNG=Young
CTLRYTBLCLTHSTTHPKSST=Cutlery-&-Table-Cloths ASSTD=Assorted ASST=Assorted HLDR=Holder XTRA=Extra
KIDS=Kids' CHILDRENS=Children's MENS=Men's WOMENS=Women's LADIES=Ladies' LOREAL=L'Oréal
LEGGS=L'eggs COVERGIRL=CoverGirl ECONOMY=Economy COUPONS=Coupons ETC= ET=
"""
WORDS = dict(pair.split("=") for pair in _WORDS.split())
"""What a short, cut or misspelt word means."""

SMALL = {"a", "and", "as", "by", "for", "in", "of", "on", "or", "the", "to", "with", "without"}
_SPACED = {"Lunch-Meat", "Cat-Food", "Orange-Juice", "Random-Weight", "Sports-Drink", "New-Zealand",
           "Mineral-Water", "Individually-Frozen", "General-Merchandise", "Health-&-Beauty",
           "Soy-Nuts", "Cutlery-&-Table-Cloths"}  # fmt: skip
_HEADS = re.compile(r"^\s*([^:(]{2,24}?)\s*(?::|\s-\s|-\s)\s*(.+)$")


@cache
def expand(text: str | None) -> str | None:
    """Write out one phrase: `FRZN VEGETABLE/VEG DSH` is `Frozen Vegetable/Vegetable Dish`."""
    if not text or not text.strip():
        return None
    text = re.sub(r"\s+", " ", text.strip())
    if text in PHRASES:
        return PHRASES[text]
    text = re.sub(r"(?<=[A-Z])\.", " ", text).replace("-MAGAZINE", " MAGAZINE")
    text = re.sub(r"\bW/O\b", " without ", text)
    text = re.sub(r"\bW/", " with ", text)
    text = re.sub(r"(?<=\w)&(?=\w)", " & ", text)
    text = re.sub(r"\b(N)/(CANNED|CARB|MEAT)\b", r"NON-\2", text)
    written = re.sub(r"[A-Za-zÀ-ÿ][A-Za-zÀ-ÿ'’]*", _word, text)
    written = re.sub(r"\(\s*[:,]*\s*\)|\([^)]*$|\bN/A\b", "", written)
    written = re.sub(r"\s*/\s*", "/", re.sub(r"\s+([,.)])", r"\1", written))
    written = re.sub(r"\s+", " ", written).strip(" -:/&.,(")
    return written[:1].upper() + written[1:] or None


@cache
def title(category: str | None, kind: str | None) -> str | None:
    """Name a product by its type, its category helping where the type alone says little.

    Args:
        category: Such as `FRZN ICE`, as the till writes it.
        kind: Such as `ICE - CRUSHED/CUBED`.

    Returns:
        Such as `Crushed/Cubed Ice`; None where both are empty.
    """
    around = expand(category)
    if not kind or not kind.strip():
        return around
    if kind.strip() in PHRASES:
        return PHRASES[kind.strip()]
    split = _HEADS.match(kind.strip())
    named = expand(kind)
    if split and len(split[1].split()) <= 3:
        head, rest = expand(split[1]), expand(split[2])
        named = _turn(head, rest) if head and rest else named
    if named and around and len(named.split()) == 1 and not _shares(named, around):
        return f"{named} ({around})"
    return named or around


@cache
def size(text: str | None) -> str | None:
    """Write a size plainly: `P    16 OZ` is `16 oz`, `8/1.5 OZ` is `8 x 1.5 oz`."""
    if not text or not text.strip():
        return None
    plain = re.sub(r"\s+", " ", text.strip().lower()).rstrip(".")
    plain = re.sub(r"^\d{6} (?=\S)", "", plain)
    plain = re.sub(r"^(?:[a-z]{1,2} )+(?=[\d.])", "", plain)
    plain = re.sub(r"^(\d+)[ -]?pk ?/ ?(?=[\d.])", r"\1 x ", plain)
    plain = re.sub(r"^(\d+)/(?=[\d.]+ ?(?:oz|lb|ct|ml|fl|l|g)\b)", r"\1 x ", plain)
    plain = re.sub(r"^(.+)\((\d+)\)$", r"\2 x \1", plain)
    plain = re.sub(r"(?<![\d.])\.(?=\d)", "0.", plain)
    plain = re.sub(r"(?<![\d.])0+(?=[1-9])", "", plain)
    plain = re.sub(r"(\d+\.\d*?)0+(?=\D|$)", r"\1", plain)
    plain = re.sub(r"\.(?=\s|$)", "", plain)
    plain = re.sub(r"^(\d+)-(?=[a-z])", r"\1 ", plain)
    words = {"ctn": "carton", "pck": "pack", "pk": "pack", "dz": "dozen", "med": "medium"}
    words |= {"xlg": "extra large", "lrg": "large", "lg": "large", "sm": "small", "ea": "each"}
    return re.sub(r"[a-z]+", lambda found: words.get(found[0], found[0]), plain).strip() or None


@cache
def from_capitals(text: str | None) -> str | None:
    """Put a title in capitals into title case: `PACK OF 6 BIRDS T-LIGHTS` and the like."""
    if not text or not text.strip():
        return None
    text = re.sub(r"\s+", " ", text.replace("*", " ")).strip(" ,.-")
    text = re.sub(r"\bS/(\d+)\b", r"Set of \1", re.sub(r"\bW/ ?", "with ", text))
    text = re.sub(r"\s*,\s*", ", ", text)
    known = {"ASSTD", "ASST", "HLDR", "XMAS"}

    def word(found: re.Match[str]) -> str:
        whole = found[0]
        if whole in known:
            return WORDS[whole]
        if found.start() and text[found.start() - 1] in "'’":
            return whole.lower()
        if found.start() and text[found.start() - 1].isdigit():
            return whole.lower() if whole.upper() in ("CM", "G", "PC", "PCS", "KG") else whole
        if not whole.isupper() and len(whole) > 1 and not whole[1:-1].isupper():
            return whole
        low = whole.lower()
        return low if low in SMALL and found.start() else low[:1].upper() + low[1:]

    named = re.sub(r"[A-Za-zÀ-ÿ][A-Za-zÀ-ÿ'’]*", word, text)
    return named[:1].upper() + named[1:] or None


def _word(found: re.Match[str]) -> str:
    word = found[0].upper()
    if word in WORDS:
        long = WORDS[word]
        return long.replace("-", " ") if long in _SPACED else long
    low = word.lower()
    if low in SMALL and found.start():
        return low
    if found.start() and found.string[found.start() - 1].isdigit():
        return low
    return low[:1].upper() + low[1:]


def _turn(head: str, rest: str) -> str:
    """Put what is special before what it is: (`Bread`, `Italian/French`)."""
    tail = re.search(r"\s*(\([^)]*\))$", rest)
    note = f" {tail[1]}" if tail else ""
    rest = rest[: tail.start()] if tail else rest
    if _shares(head.split()[-1], rest):
        return rest + note
    return f"{rest} {head}{note}"


def _shares(word: str, phrase: str) -> bool:
    """Tell whether a word, without its plural, is part of a phrase."""
    stem = re.sub(r"(ies|es|s|y)$", "", word.lower())
    return len(stem) > 1 and stem in phrase.lower()
