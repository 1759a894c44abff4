"""Who chooses, and what, in English: roles, kinds of choice, and their attributes with units and ranges."""

CHOICES = """
apartment
    floor area | square meters | 30 | 140 | 1
    monthly rent | dollars | 500 | 3500 | 10
    walk to the station | minutes | 1 | 40 | 1
    age of the building | years | 0 | 120 | 1
    height of the ceiling | meters | 2.2 | 4 | 0.1
    neighbors on the floor | people | 1 | 12 | 1
    hours of sun | hours a day | 0 | 10 | 0.5
laptop
    weight | kilograms | 0.8 | 3.2 | 0.1
    battery life | hours | 3 | 22 | 0.5
    memory | gigabytes | 8 | 128 | 8
    screen size | inches | 11 | 18 | 0.1
    price | dollars | 400 | 3200 | 10
    fan noise | decibels | 15 | 55 | 1
    warranty | months | 6 | 60 | 1
car
    fuel use | liters per 100 km | 2 | 14 | 0.1
    top speed | kilometers an hour | 130 | 280 | 1
    boot space | liters | 150 | 800 | 10
    seats | people | 2 | 8 | 1
    price | dollars | 9000 | 80000 | 100
    safety score | points | 1 | 100 | 1
    length | meters | 2.6 | 5.6 | 0.1
hotel
    price a night | dollars | 40 | 600 | 5
    distance to the center | kilometers | 0 | 25 | 0.1
    room size | square meters | 9 | 70 | 1
    guest rating | points | 10 | 100 | 1
    rooms in the house | rooms | 5 | 600 | 5
    breakfast dishes | dishes | 0 | 60 | 1
    check-out time | hours after 8 in the morning | 0 | 8 | 0.5
restaurant
    price of a meal | dollars | 8 | 150 | 1
    wait for a table | minutes | 0 | 90 | 1
    dishes on the menu | dishes | 5 | 120 | 1
    loudness | decibels | 40 | 90 | 1
    spiciness | points | 0 | 10 | 1
    vegetables on the plate | grams | 0 | 400 | 10
    distance | kilometers | 0.2 | 20 | 0.1
bicycle
    weight | kilograms | 6 | 25 | 0.1
    gears | gears | 1 | 30 | 1
    price | dollars | 150 | 6000 | 10
    tire width | millimeters | 23 | 75 | 1
    luggage load | kilograms | 0 | 50 | 1
    frame warranty | years | 1 | 25 | 1
    assembly time | minutes | 0 | 240 | 5
camera
    resolution | megapixels | 8 | 100 | 1
    weight | grams | 200 | 1500 | 10
    zoom | times | 1 | 40 | 1
    price | dollars | 150 | 4000 | 10
    pictures a charge | pictures | 150 | 1500 | 10
    pictures a second | pictures | 1 | 40 | 1
    menu depth | levels | 1 | 9 | 1
job
    salary | thousand dollars a year | 30 | 250 | 1
    vacation | days a year | 10 | 45 | 1
    commute | minutes | 0 | 90 | 1
    team size | people | 1 | 60 | 1
    travel | days a month | 0 | 20 | 1
    notice period | weeks | 1 | 26 | 1
    hours a week | hours | 20 | 65 | 1
school
    pupils a class | pupils | 8 | 40 | 1
    fees | dollars a month | 0 | 2000 | 10
    sports lessons | hours a week | 0 | 10 | 0.5
    languages taught | languages | 1 | 9 | 1
    homework | minutes a day | 0 | 180 | 5
    age of the school | years | 1 | 300 | 1
    way to school | kilometers | 0.2 | 30 | 0.1
book
    length | pages | 80 | 1200 | 5
    year of writing | years after 1800 | 0 | 220 | 1
    characters | people | 1 | 80 | 1
    chapters | chapters | 1 | 90 | 1
    price | dollars | 3 | 60 | 1
    critics' score | points | 10 | 100 | 1
    drawings | drawings | 0 | 60 | 1
garden plant
    height | centimeters | 10 | 400 | 5
    weeks in bloom | weeks | 1 | 30 | 1
    water | liters a week | 0.5 | 20 | 0.5
    price | dollars | 2 | 90 | 1
    life span | years | 1 | 80 | 1
    coldest night it survives | degrees of frost | 0 | 30 | 1
    scent | points | 0 | 10 | 1
train journey
    duration | hours | 1 | 20 | 0.5
    changes | changes | 0 | 6 | 1
    fare | dollars | 10 | 300 | 1
    departure | hours after midnight | 4 | 23 | 0.5
    legroom | centimeters | 60 | 120 | 1
    stops | stops | 0 | 40 | 1
    share of it by daylight | percent | 0 | 100 | 1
museum
    entrance fee | dollars | 0 | 40 | 1
    works on show | works | 20 | 5000 | 10
    time in the line | minutes | 0 | 120 | 1
    oldest work | centuries | 1 | 40 | 1
    benches | benches | 0 | 80 | 1
    guided tours | tours a day | 0 | 20 | 1
    visitors | people an hour | 10 | 900 | 10
phone
    screen size | inches | 4 | 7.5 | 0.1
    price | dollars | 100 | 1600 | 10
    battery life | hours | 8 | 60 | 1
    storage | gigabytes | 32 | 1024 | 32
    weight | grams | 110 | 280 | 1
    years of updates | years | 1 | 10 | 1
    thickness | millimeters | 6 | 14 | 0.1
dog
    height | centimeters | 15 | 90 | 1
    walks | minutes a day | 20 | 240 | 5
    barking | times a day | 0 | 60 | 1
    food | dollars a month | 15 | 200 | 5
    fur length | centimeters | 0.5 | 20 | 0.5
    age | years | 0.5 | 14 | 0.5
    tricks it knows | tricks | 0 | 25 | 1
tent
    weight | kilograms | 1 | 15 | 0.1
    sleeping places | people | 1 | 10 | 1
    pitching time | minutes | 1 | 45 | 1
    water column | meters | 1 | 10 | 0.1
    price | dollars | 40 | 1500 | 10
    height inside | centimeters | 80 | 220 | 5
    pockets | pockets | 0 | 24 | 1
gym
    monthly fee | dollars | 10 | 200 | 1
    distance | kilometers | 0.1 | 15 | 0.1
    machines | machines | 5 | 150 | 1
    courses | courses a week | 0 | 80 | 1
    hours it is open | hours a day | 6 | 24 | 1
    contract | months | 1 | 36 | 1
    members | people | 50 | 4000 | 50
coat
    warmth | points | 1 | 100 | 1
    weight | grams | 300 | 3000 | 50
    price | dollars | 30 | 1200 | 10
    pockets | pockets | 0 | 14 | 1
    length | centimeters | 55 | 130 | 1
    recycled cloth | percent | 0 | 100 | 1
    washing temperature | degrees | 20 | 60 | 5
concert
    ticket price | dollars | 5 | 250 | 1
    length | minutes | 40 | 240 | 5
    musicians on stage | people | 1 | 100 | 1
    distance to the stage | meters | 2 | 120 | 1
    loudness | decibels | 60 | 115 | 1
    encores | encores | 0 | 5 | 1
    songs you know | songs | 0 | 30 | 1
island
    flight time | hours | 1 | 20 | 0.5
    days of rain | days a month | 0 | 25 | 1
    inhabitants | thousand people | 1 | 900 | 1
    beaches | beaches | 1 | 120 | 1
    highest hill | meters | 5 | 3500 | 5
    cost of a week | dollars | 200 | 5000 | 10
    sea temperature | degrees | 8 | 31 | 1
"""
"""A kind of choice, then its attributes: name | unit | lowest | highest | step."""

ROLES = """
a retired lighthouse keeper
a night nurse with two small children
a mathematician who avoids crowds
a traveling puppeteer
the captain of a river ferry
a baker who rises at three
a violin maker in a mountain village
an impatient young lawyer
a mushroom collector
the widow of a sea explorer
a chess teacher on a small pension
a beekeeper who writes poems
a stage magician between two tours
a geologist just back from the desert
a cautious bank clerk
a former sprinter with a bad knee
a librarian who restores old maps
a student who shares a house with five friends
a grandmother who learns to program
a mountain guide
a toy inventor
an opera singer who saves her voice
a bus driver who paints
a detective who hardly sleeps
a potter with a stall at the market
a surgeon on parental leave
a clockmaker who dislikes noise
a young farmer who took over the family land
a marine biologist with a tight budget
a translator of old letters
an astronomer who works at night
a wedding photographer
a carpenter who builds stairs
an exchange student far from home
a mayor of a town of nine hundred people
a cellist who travels with her instrument
a comedian who fears heights
a glassblower
a pilot on her last year of service
a cook on a research ship
"""
"""One a line, as it follows 'Imagine you are'."""
