"""Departments of general retail, for a shop that has no taxonomy of its own.

Written by hand: the things a shopper would look for in each, in plain words. Coarse on purpose: a
department that is right serves filters and shelves, a guessed sub-category would mislead.
"""

DEPARTMENTS: dict[str, tuple[str, ...]] = {
    "Food & Drink": (
        "milk, cheese and butter", "bread and bakery", "fresh fruit and vegetables",
        "meat, chicken and sausages", "frozen pizza and ready meals", "canned soup and beans",
        "pasta, rice and sauce", "breakfast cereal", "chocolate, candy and biscuits",
        "crisps and snacks", "coffee and tea to drink", "soft drink, juice and water",
        "beer and wine", "spices and cooking oil",
    ),
    "Household & Cleaning": (
        "laundry detergent", "dishwasher tablets", "all-purpose cleaner spray", "paper towels",
        "toilet paper", "trash bags", "air freshener", "sponge, mop and broom", "light bulbs",
        "batteries", "aluminium foil and food wrap",
    ),
    "Health & Beauty": (
        "shampoo and conditioner", "skin cream and lotion", "toothpaste and toothbrush",
        "make-up and lipstick", "perfume", "deodorant", "razor and shaving foam",
        "vitamins and supplements", "pain relief tablets", "plasters and first aid",
        "soap and shower gel", "hair colour",
    ),
    "Baby": (
        "nappies and diapers", "baby food and formula", "baby bottle", "pushchair and stroller",
        "baby car seat", "dummy and teether", "baby wipes", "cot and crib",
    ),
    "Pets": (
        "dog food", "cat food", "cat litter", "pet toy", "dog lead and collar", "aquarium",
        "bird seed", "pet bed",
    ),
    "Clothing & Shoes": (
        "women's dress and skirt", "men's shirt", "t-shirt and top", "trousers and jeans",
        "jacket and coat", "sweater and cardigan", "underwear and socks", "running shoes",
        "boots and sandals", "hat, scarf and gloves", "pyjamas and nightwear", "swimwear",
    ),
    "Jewellery, Watches & Bags": (
        "necklace and bracelet", "earrings", "gold ring", "wrist watch", "handbag and purse",
        "backpack and suitcase", "shopping bag and tote bag", "sunglasses", "wallet", "hair clip",
    ),
    "Electronics & Computers": (
        "smartphone unlocked 64gb", "laptop and notebook", "television led 4k",
        "digital camera and lens", "headphones and speaker", "tablet", "computer monitor",
        "processor cpu intel amd core", "graphics card and memory", "usb cable and charger",
        "printer and ink", "games console", "hard disk drive ssd",
    ),
    "Home Appliances": (
        "washing machine 8kg 1400 spin", "fridge freezer frost free", "dishwasher integrated",
        "microwave oven", "built-in oven and hob", "tumble dryer", "vacuum cleaner",
        "kettle and toaster electric", "steam iron", "air conditioner and fan heater",
        "chest freezer litres",
    ),
    "Kitchen & Dining": (
        "frying pan and saucepan", "plates and bowls", "mug, cup and teapot", "cutlery and knives",
        "drinking glass and jug", "cake tin and baking tray", "cake stand", "lunch box",
        "kitchen scales and utensils", "food storage jar", "apron and tea towel", "napkins",
    ),
    "Home & Decoration": (
        "cushion and throw", "candle and tea light holder", "picture frame", "wall clock",
        "vase and ornament", "curtain and rug", "bed linen, duvet and pillow", "bath towel",
        "lamp and lampshade", "mirror", "storage box and basket", "hook, hanger and doormat",
        "metal sign for the wall",
    ),
    "Furniture": (
        "sofa and armchair", "dining table", "chair and stool", "bed and mattress", "wardrobe",
        "chest of drawers", "bookcase and shelf", "desk",
    ),
    "Garden & Outdoor": (
        "plant and flower seeds", "garden tools", "plant pot", "lawn mower",
        "hose and watering can", "barbecue and charcoal", "garden furniture and parasol",
        "bird house", "fresh cut flowers",
    ),
    "Tools & DIY": (
        "cordless drill", "hammer and screwdriver", "screws and nails", "paint and brush",
        "glue and tape", "lock and door handle", "plug, socket and extension lead", "pipe and tap",
    ),
    "Toys & Games": (
        "doll and doll's house", "building blocks", "jigsaw puzzle", "board game and cards",
        "soft toy and teddy bear", "toy car and train", "children's craft kit",
        "kite and ball game",
    ),
    "Sports & Leisure": (
        "bicycle and helmet", "football and tennis racket", "yoga mat and weights",
        "tent and sleeping bag", "fishing rod", "swimming goggles", "golf clubs",
        "ski and snowboard",
    ),
    "Books, Music & Film": (
        "novel paperback", "children's book", "magazine and newspaper", "cookery book",
        "music cd and vinyl", "film on dvd and blu-ray", "sheet music", "guitar and keyboard",
    ),
    "Office & Stationery": (
        "pen and pencil", "notebook and diary", "printer paper", "folder and binder", "envelope",
        "stapler and scissors", "calculator", "eraser, ruler and pencil case", "whiteboard",
    ),
    "Party & Gifts": (
        "birthday and greeting card", "gift wrap and ribbon", "party bunting and balloons",
        "Christmas decoration", "Halloween costume", "Easter decoration", "wedding favour",
        "gift bag and gift tag",
    ),
    "Automotive": (
        "engine oil", "car tyre", "windscreen wiper", "car battery", "car cleaning and polish",
        "car seat cover", "brake pads and spare parts",
    ),
}  # fmt: skip
"""What is sold in each department, a few words a line."""
