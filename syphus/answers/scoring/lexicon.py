"""English words for visible things and their relations: common knowledge for comparing answers with annotations.

A line of `_KINDS` is `kind: thing thing/synonym`. An annotation with one of the things supports an answer that names
the kind, never the other way round. A line of `_PARTS` is `whole: part part`. An annotation with the whole allows its
parts: they count neither for nor against the answer. A word of this lexicon that nothing supports is an invented thing,
unless it has other common meanings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from syphus.answers.scoring.words import IRREGULAR, stem

_KINDS = """
person: man/gentleman/guy/male woman/lady/female child adult passenger pedestrian driver rider player worker crowd
    couple customer/shopper/patron visitor/tourist/guest musician soldier surfer skier snowboarder
    skateboarder/skater cyclist officer/policeman/police fireman/firefighter farmer chef/cook waiter/waitress/server
    teacher student doctor nurse dancer singer bride groom king queen clown pirate knight athlete swimmer runner
    climber fisherman pilot captain speaker audience/spectator family friend parent mother/mom/mum father/dad
    grandmother grandfather sister brother husband wife teenager/teen somebody individual/human team member/teammate
    barber gymnast hairdresser judge referee
man: groom king waiter policeman fireman fisherman father grandfather brother husband boy
woman: bride queen waitress mother grandmother sister wife girl
child: boy girl kid/toddler baby/infant son daughter
animal: dog cat bird horse/pony/foal cow/bull/calf/ox/cattle sheep/lamb/ram goat pig elephant giraffe zebra bear
    lion tiger monkey/ape/gorilla deer/elk/moose/antelope rabbit/bunny/hare mouse/rat squirrel fox wolf camel
    kangaroo koala panda leopard/cheetah hippo/hippopotamus rhino/rhinoceros buffalo/bison donkey/mule llama/alpaca
    turtle/tortoise snake lizard frog crocodile/alligator fish whale dolphin shark octopus crab jellyfish insect
    butterfly bee spider ant dinosaur dragon unicorn seal otter bat hamster hedgehog raccoon snail
dog: puppy/pup hound poodle terrier bulldog retriever
cat: kitten/kitty
bird: duck goose swan chicken/hen rooster turkey pigeon/dove seagull/gull owl eagle/hawk/falcon parrot penguin
    peacock ostrich crow/raven sparrow flamingo pelican crane stork heron magpie robin
vehicle: car/automobile/sedan truck/lorry/pickup van/minivan bus/coach motorcycle/motorbike/moped/scooter
    bike/bicycle/cycle train tram/trolley/streetcar taxi/cab ambulance tractor trailer jeep/suv plane helicopter
    boat carriage/wagon cart bulldozer/excavator tank limousine rickshaw locomotive submarine rocket/spaceship
plane: airplane/aeroplane/aircraft/airliner/jet jetliner biplane glider
boat: ship/vessel ferry sailboat/yacht canoe/kayak raft gondola
furniture: chair table sofa/couch bed desk shelf/bookshelf/bookcase cabinet/cupboard dresser/wardrobe bench stool
    armchair nightstand crib ottoman drawer
chair: armchair stool recliner throne chaise highchair
table: desk counter/countertop
building: house/home/cottage/cabin church/chapel/cathedral temple/mosque skyscraper tower castle/palace barn
    shed/hut store/shop restaurant/cafe/diner hotel school hospital garage station airport stadium museum library
    lighthouse factory warehouse apartment office pavilion bakery market supermarket theater/theatre cinema prison
room: kitchen bedroom bathroom/restroom/lavatory hall/hallway/corridor/lobby lounge classroom attic basement gym
    studio salon
food: pizza sandwich/burger/hamburger hotdog donut cake/cupcake pie bread/loaf/toast/bun bagel cookie/biscuit
    pasta/spaghetti/noodle rice soup salad meat/steak/beef/ham bacon sausage egg cheese chocolate candy/sweet
    ice-cream fruit vegetable sushi fries/chips pancake/waffle popcorn snack dessert meal/lunch/dinner/breakfast
    shrimp pastry cereal sauce butter honey jam taco burrito pickle
fruit: apple orange banana strawberry/berry/blueberry/raspberry grape lemon/lime pear peach cherry pineapple
    watermelon/melon mango kiwi coconut plum
vegetable: carrot broccoli tomato potato onion lettuce/cabbage cucumber pepper corn mushroom pumpkin bean pea
    spinach garlic celery
drink: coffee tea beer wine juice milk soda/cola/lemonade cocktail champagne whiskey smoothie beverage
tableware: plate cup/mug bowl/dish glass pot pan/skillet saucer jug/pitcher kettle/teapot vase tray
cutlery: fork knife spoon chopstick spatula utensil/silverware
container: box/carton/crate basket/hamper bag bottle jar can/tin bucket/pail barrel bin/trash/garbage/dumpster
    suitcase
bag: backpack/rucksack handbag/purse luggage/baggage suitcase sack briefcase
clothing: clothes/garment/outfit/attire shirt/blouse/t-shirt/tshirt jacket/coat/parka sweater/hoodie/pullover
    dress/gown skirt pants/trousers/jeans/slacks shorts suit/tuxedo tie/necktie/bowtie hat/cap/beanie/sombrero
    helmet shoe/sneaker/boot/sandal sock glove/mitten scarf belt uniform vest apron robe swimsuit/bikini/wetsuit
    costume raincoat cape kimono
jewelry: ring necklace bracelet earring crown
eyewear: sunglasses/eyeglasses/goggles/spectacles
device: phone/cellphone/smartphone/cell/telephone computer television/tv camera remote controller keyboard mouse
    printer radio speaker headphone/earphone monitor/screen microphone tablet/ipad projector clock wristwatch/watch
    console
computer: laptop/notebook
appliance: refrigerator/fridge/freezer oven/stove/cooker microwave toaster dishwasher blender washer/dryer kettle
    heater fan vacuum iron
instrument: guitar piano violin/fiddle drum trumpet flute saxophone cello harp accordion banjo ukulele trombone tuba
    clarinet harmonica
toy: doll teddy balloon kite ball puzzle lego yo-yo
ball: football soccer basketball baseball volleyball frisbee/disc
tool: hammer drill saw axe/ax wrench screwdriver shovel/spade rake ladder broom mop scissors/shears rope chain hose
    paintbrush brush needle nail sword/dagger gun/rifle/pistol spear bow/arrow shield torch flashlight
plant: tree flower/blossom/bouquet grass/lawn bush/shrub/hedge leaf cactus vine/ivy moss weed fern
flower: rose tulip daisy sunflower lily orchid
tree: palm pine/fir oak willow trunk/log birch maple
road: street/avenue highway/freeway lane path/trail/walkway sidewalk/pavement alley driveway crosswalk
water: sea/ocean lake river/stream/creek pond pool waterfall puddle wave fountain harbor/harbour bay
land: field/meadow/pasture/grassland beach/shore/seashore/coast/seaside forest/woods/woodland/jungle
    mountain/hill/cliff desert island valley park garden/yard/backyard farm canyon volcano savanna/savannah
sign: billboard signpost poster banner placard
light: lamp/lantern/chandelier candle/candlestick streetlight/lamppost headlight bulb torch lighting
weather: rain snow fog/mist cloud storm wind/breeze sun/sunshine/sunlight lightning rainbow
sport: tennis golf hockey skiing surfing swimming skateboarding snowboarding rugby cricket boxing wrestling
board: surfboard skateboard snowboard ski/skis whiteboard/blackboard/chalkboard
paper: newspaper/magazine book/novel letter map envelope ticket/receipt calendar card note
art: painting/portrait/mural statue/sculpture drawing
thing: umbrella/parasol tent fence/railing gate door window/pane curtain/blind mirror carpet/rug/mat pillow/cushion
    blanket/quilt/comforter towel napkin tablecloth toilet sink/faucet/tap bathtub/tub shower toothbrush toothpaste
    soap comb razor hydrant meter traffic pole/post bridge stair/staircase/step escalator elevator bench mailbox
    flag net racket/racquet bat saddle leash collar cage nest tunnel wheelchair stroller/pram crutch cane tripod
    easel globe telescope microscope anchor oar/paddle parachute sled/sleigh snowman fireplace chimney roof balcony
    porch deck dock/pier/jetty awning wall floor ceiling brick pipe wire cable antenna windmill swing slide
    trampoline carousel fire smoke bomb coin money wallet key lock trophy medal gift/present ribbon mask wig
    mustache/moustache beard tattoo skull skeleton ghost robot alien pen/pencil/crayon/marker lighter
    cigarette/cigar pill bandage stethoscope syringe laundry trolley
"""
_PARTS = """
person: hand finger thumb palm arm elbow shoulder head face eye ear nose mouth lip tooth tongue hair neck chest back
    stomach waist hip leg knee foot toe body skin smile expression gesture hairstyle gaze voice name clothing
animal: head face eye ear nose mouth neck leg foot paw tail fur hair body skin mane horn hoof trunk tusk stripe
    snout
bird: wing feather beak claw nest
vehicle: wheel tire engine door window seat windshield headlight hood bumper roof driver passenger license mirror
plane: wing tail cockpit propeller engine
boat: sail deck mast anchor
bike: pedal handlebar chain basket saddle
building: wall door window roof floor brick stair balcony facade entrance chimney
room: wall floor ceiling door window furniture
plant: leaf branch stem root petal trunk
road: curb asphalt lane sidewalk pavement traffic
water: wave shore surface
computer: keyboard screen monitor
table: surface top leg
land: ground sky horizon grass
"""
_AMBIGUOUS = frozenset(
    ("light", "watch", "fire", "step", "park", "swing", "slide", "present", "note", "card", "letter", "board", "post")
)


@cache
def is_thing(word: str) -> bool:
    """Return whether a lower-case word certainly names a thing of the lexicon, in the singular or plural."""
    listed = _all_words()
    single = {word, word.removesuffix("s"), word.removesuffix("es"), IRREGULAR.get(word, word)}
    return bool(single & listed) and not single & _AMBIGUOUS


@cache
def names_of_things() -> frozenset[str]:
    """Return all words for which `is_thing` is true."""
    listed = _all_words()
    irregular = (form for form, base in IRREGULAR.items() if base in listed)
    forms = (word + ending for word in listed for ending in ("", "s", "es"))
    return frozenset(filter(is_thing, (*forms, *irregular)))


@cache
def supporting_words() -> Mapping[str, frozenset[str]]:
    """Return, by the stem of each thing, the other stems in an annotation that support it: synonyms and kinds."""
    kinds, same = _parse_table(_KINDS)
    known: dict[str, set[str]] = {}
    for kind, things in kinds.items():
        known.setdefault(kind, set()).update(things)
        for thing in things:
            known.setdefault(thing, set()).update(same.get(thing, ()))
    closed = {thing: _all_kinds(thing, known, same) for thing in known}
    return {thing: frozenset(found - {thing}) for thing, found in closed.items()}


@cache
def synonyms() -> Mapping[str, frozenset[str]]:
    """Return the synonyms by the stem of a thing: they support each other."""
    known = supporting_words()
    return {thing: frozenset(each for each in below if thing in known.get(each, ())) for thing, below in known.items()}


@cache
def related_words() -> Mapping[str, frozenset[str]]:
    """Return, by the stem of a thing, what supports it and what it supports: three ducks may be the three birds."""
    known = {thing: set(below) for thing, below in supporting_words().items()}
    for thing, below in supporting_words().items():
        for each in below:
            known.setdefault(each, set()).add(thing)
    return {thing: frozenset(found) for thing, found in known.items()}


@cache
def wholes_of_parts() -> Mapping[str, frozenset[str]]:
    """Return, by the stem of a part, the stems of its wholes and of all their kinds."""
    wholes, _ = _parse_table(_PARTS)
    known: dict[str, set[str]] = {}
    for whole, things in wholes.items():
        for thing in things:
            known.setdefault(thing, set()).update({whole}, supporting_words().get(whole, ()))
    return {part: frozenset(found) for part, found in known.items()}


@cache
def _all_words() -> frozenset[str]:
    return frozenset(re.findall(r"[\w-]+", _KINDS))


def _parse_table(table: str) -> tuple[dict[str, list[str]], dict[str, set[str]]]:
    """Return the members of each line, and the synonyms of each member, all as stems."""
    kinds: dict[str, list[str]] = {}
    same: dict[str, set[str]] = {}
    for line in table.replace("\n    ", " ").split("\n"):
        kind, _, members = line.partition(": ")
        for member in members.split():
            stems = [stem(word) for word in member.split("/")]
            kinds.setdefault(stem(kind), []).extend(stems)
            for each in stems:
                same.setdefault(each, set()).update(stems)
    return kinds, same


def _all_kinds(thing: str, known: Mapping[str, set[str]], same: Mapping[str, set[str]]) -> set[str]:
    """Return the thing, its synonyms, and all kinds of these, recursively."""
    found: set[str] = set()
    waiting = [thing]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting += known.get(each, set()) | same.get(each, set())
    return found
