"""The words of the lab's world, a tiny English.

Everything is lower case, with one space around every word and punctuation mark. Words of one kind
stand together; no word is in two kinds of `KINDS`, of `TOPICS` or of `FEELINGS`.
"""

KINDS = {
    "animal": "cat dog horse cow sheep goat pig lion tiger bear wolf fox rabbit mouse duck frog".split(),
    "fruit": "apple pear plum grape lemon mango peach cherry banana orange melon fig kiwi lime".split(),
    "color": "red blue green yellow black white brown purple pink grey golden silver".split(),
    "city": "paris london rome berlin madrid oslo cairo tokyo delhi lima boston vienna dublin athens".split(),
    "tool": "hammer saw drill wrench pliers shovel rake axe chisel screwdriver ladder clamp".split(),
    "vehicle": "car bus train truck bike boat plane tram van taxi ship scooter".split(),
    "job": "doctor teacher nurse farmer pilot lawyer cook driver baker painter soldier judge".split(),
    "sport": "tennis football hockey golf rugby boxing rowing cricket judo skiing running swimming".split(),
    "instrument": "piano guitar violin flute drum harp trumpet cello organ banjo horn oboe".split(),
    "clothing": "shirt coat hat sock shoe glove scarf dress skirt belt jacket boot".split(),
    "furniture": "chair table sofa bed desk shelf stool bench cabinet wardrobe couch drawer".split(),
    "drink": "tea coffee milk juice water wine beer cider cocoa soda".split(),
}

WOMEN = "anna mary lucy emma julia nina sara kate rosa eva clara helen".split()
MEN = "tom john peter mark paul leo max david oscar simon hugo felix".split()
NAMES = WOMEN + MEN

PRODUCTS = "phone film book hotel meal camera game lamp clock radio course app".split()
DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()

# Adjectives for a product, by opinion.
ADJECTIVES_BY_STARS = {
    1: "terrible awful horrible dreadful disgusting".split(),
    2: "bad poor weak boring disappointing".split(),
    3: "average okay ordinary acceptable passable".split(),
    4: "good nice pleasant solid enjoyable".split(),
    5: "amazing perfect wonderful fantastic brilliant".split(),
}

FEELINGS = {
    "joy": "happy cheerful delighted glad thrilled".split(),
    "anger": "angry furious annoyed mad outraged".split(),
    "sadness": "sad lonely heartbroken gloomy miserable".split(),
    "fear": "afraid scared terrified nervous worried".split(),
}

TOPICS = {
    "sports": "team match goal player coach league race score stadium trophy".split(),
    "food": "recipe kitchen soup dinner chef spice restaurant sauce bread cake".split(),
    "travel": "airport suitcase ticket luggage tourist beach passport flight island map".split(),
    "weather": "rain storm cloud snow wind sunshine fog thunder forecast temperature".split(),
    "music": "concert band singer melody album orchestra song chorus stage choir".split(),
    "science": "experiment planet atom telescope laboratory theory energy chemist robot cell".split(),
}

OPPOSITES = [
    tuple(pair.split(":"))
    for pair in (
        "hot:cold big:small fast:slow happy:sad rich:poor old:young hard:soft light:dark open:closed "
        "full:empty high:low strong:weak early:late clean:dirty loud:quiet wet:dry bright:dim come:go"
    ).split()
]

# Words that mean nearly the same, most common first. Instructions use many of them.
SYNONYMS = [
    group.split()
    for group in (
        "review comment feedback opinion|find pick choose select|give write output return|"
        "decide judge determine|text passage|list sequence|word term item|largest biggest greatest|"
        "smallest tiniest least|title headline heading|mood spirit temper|polite courteous civil|"
        "rude impolite|oldest eldest|count tally|swap exchange trade|goal target aim|"
        "invitation invite|winner champion|correct right accurate|wrong false incorrect|"
        "stars rating grade|odd strange different|kind type sort|begin start|end finish|"
        "job profession occupation|message note|person individual|reply answer response"
    ).split("|")
]

# The toy language "zumi": this table is all of it.
# fmt: off
ZUMI = {
    "cat": "galos", "dog": "fesu", "horse": "meko", "bread": "nedu", "water": "peguk",
    "tree": "levos", "house": "dedus", "sun": "vopok", "moon": "dodin", "fish": "tinek",
    "bird": "divu", "stone": "toren", "fire": "gozu", "river": "bufek", "child": "dodis",
    "woman": "lodas", "man": "nuko", "king": "zaso", "road": "firan", "night": "poguk",
    "day": "ginik", "milk": "femuk", "apple": "sodo", "book": "disa", "door": "papon",
    "hand": "kuri", "eye": "voto", "star": "lemip", "snow": "fanos", "rain": "supak",
}
# fmt: on
