"""Which language is this text in? Told by script, and by frequent words where letters are Latin.

The table holds words that titles, queries and descriptions of shops are full of and that few of
the other languages share; it is our own. A text of names and numbers alone belongs to no language.
Knows no grammar, and does not part Norwegian from Danish or traditional from simplified Chinese.
"""

import re
from collections import Counter
from collections.abc import Iterable

CATALOGUE_SHARE_MIN = 0.05
"""A language that fewer texts of a catalogue are in, of those that are in any, does not count."""

SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af\u1100-\u11ff]")),
    ("zh", re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")),
    ("uk", re.compile(r"[іїєґ]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
)
"""The first script that occurs decides: Japanese also writes Han, Ukrainian also Cyrillic."""

WORDS = {
    "en": """the and with for of from to your this is are set pack black white red blue green pink
        grey men mens women womens kids baby shoes shirt dress bag box light lamp holder bottle
        kitchen glass wood wooden steel cotton leather water phone case cover table chair small
        large heart vintage milk bread chicken cheese beef sugar paper card party gift""",
    "de": """der die das und mit für von aus dem den ein eine ist nicht auch zum zur schwarz weiß
        rot blau grün grau damen herren kinder schuhe jacke tasche stück edelstahl holz leder
        wasserdicht küche größe flasche kaffee milch brot käse""",
    "fr": """le la les et avec pour des du une un est dans sur aux noir blanc rouge bleu vert gris
        femme homme enfant chaussures veste sac pièces acier bois cuir cuisine taille bouteille
        lait pain fromage café sans lampe""",
    "es": """el los las y con para del una un es por sin negro blanco rojo azul verde gris mujer
        hombre niños zapatos zapatillas chaqueta bolso piezas acero madera cuero cocina talla
        botella leche pan queso café""",
    "it": """il lo gli e con per del della di una un è senza nero bianco rosso blu verde grigio
        donna uomo bambini scarpe giacca borsa pezzi acciaio legno pelle cucina taglia bottiglia
        latte pane formaggio caffè""",
    "pt": """o os as e com para do da uma um é sem preto branco vermelho azul verde cinza mulher
        homem crianças sapatos tênis jaqueta bolsa peças aço madeira couro cozinha tamanho garrafa
        leite pão queijo café""",
    "nl": """de het een en met voor van uit is niet ook zwart wit rood blauw groen grijs dames
        heren kinderen schoenen jas tas stuks roestvrij staal hout leer keuken maat fles melk
        brood kaas koffie""",
}
"""Frequent words of shops by language, in small letters."""

_LANGUAGES: dict[str, tuple[str, ...]] = {
    word: tuple(code for code, table in WORDS.items() if word in table.split())
    for word in {word for table in WORDS.values() for word in table.split()}
}
_WORD = re.compile(r"[^\W\d_]+")


def language(text: str) -> str:
    """Tell the language of one text.

    Args:
        text: A title, a query or a description.

    Returns:
        ISO 639-1 code; empty where nothing tells, or two languages are told alike.
    """
    small = text.casefold()
    if not small.isascii():
        for code, script in SCRIPTS:
            if script.search(small):
                return code
    votes: Counter[str] = Counter()
    for word in _WORD.findall(small):
        for code in (shared := _LANGUAGES.get(word, ())):
            votes[code] += 1 / len(shared)  # type: ignore[assignment]
    best = votes.most_common(2)
    if not best or (len(best) == 2 and best[0][1] == best[1][1]):
        return ""
    return best[0][0]


def languages(texts: Iterable[str]) -> list[str]:
    """Tell the languages of a catalogue.

    Args:
        texts: Titles, with descriptions or without.

    Returns:
        ISO 639-1 codes, most frequent first; none where no text tells.
    """
    told = Counter(found for text in texts if (found := language(text)))
    least = CATALOGUE_SHARE_MIN * told.total()
    return [code for code, count in told.most_common() if count >= least]
