"""Colours that have names, and distances between colours."""

import functools

import numpy as np

# The eleven basic colour terms of Berlin and Kay, "Basic Color Terms" (1969); their values are CSS's, but for brown.
_BASIC = """
black 000000 white ffffff red ff0000 green 008000 yellow ffff00 blue 0000ff brown 8b4513 purple 800080 pink ffc0cb
orange ffa500 gray 808080
"""
# The named colours of CSS Color Module Level 4 (W3C), each value once: cyan stands for aqua, magenta for fuchsia, gray
# for grey.
_CSS = """
aliceblue f0f8ff antiquewhite faebd7 aquamarine 7fffd4 azure f0ffff beige f5f5dc bisque ffe4c4 black 000000
blanchedalmond ffebcd blue 0000ff blueviolet 8a2be2 brown a52a2a burlywood deb887 cadetblue 5f9ea0 chartreuse 7fff00
chocolate d2691e coral ff7f50 cornflowerblue 6495ed cornsilk fff8dc crimson dc143c cyan 00ffff darkblue 00008b
darkcyan 008b8b darkgoldenrod b8860b darkgray a9a9a9 darkgreen 006400 darkkhaki bdb76b darkmagenta 8b008b
darkolivegreen 556b2f darkorange ff8c00 darkorchid 9932cc darkred 8b0000 darksalmon e9967a darkseagreen 8fbc8f
darkslateblue 483d8b darkslategray 2f4f4f darkturquoise 00ced1 darkviolet 9400d3 deeppink ff1493 deepskyblue 00bfff
dimgray 696969 dodgerblue 1e90ff firebrick b22222 floralwhite fffaf0 forestgreen 228b22 gainsboro dcdcdc ghostwhite
f8f8ff gold ffd700 goldenrod daa520 gray 808080 green 008000 greenyellow adff2f honeydew f0fff0 hotpink ff69b4
indianred cd5c5c indigo 4b0082 ivory fffff0 khaki f0e68c lavender e6e6fa lavenderblush fff0f5 lawngreen 7cfc00
lemonchiffon fffacd lightblue add8e6 lightcoral f08080 lightcyan e0ffff lightgoldenrodyellow fafad2 lightgray d3d3d3
lightgreen 90ee90 lightpink ffb6c1 lightsalmon ffa07a lightseagreen 20b2aa lightskyblue 87cefa lightslategray 778899
lightsteelblue b0c4de lightyellow ffffe0 lime 00ff00 limegreen 32cd32 linen faf0e6 magenta ff00ff maroon 800000
mediumaquamarine 66cdaa mediumblue 0000cd mediumorchid ba55d3 mediumpurple 9370db mediumseagreen 3cb371
mediumslateblue 7b68ee mediumspringgreen 00fa9a mediumturquoise 48d1cc mediumvioletred c71585 midnightblue 191970
mintcream f5fffa mistyrose ffe4e1 moccasin ffe4b5 navajowhite ffdead navy 000080 oldlace fdf5e6 olive 808000 olivedrab
6b8e23 orange ffa500 orangered ff4500 orchid da70d6 palegoldenrod eee8aa palegreen 98fb98 paleturquoise afeeee
palevioletred db7093 papayawhip ffefd5 peachpuff ffdab9 peru cd853f pink ffc0cb plum dda0dd powderblue b0e0e6 purple
800080 rebeccapurple 663399 red ff0000 rosybrown bc8f8f royalblue 4169e1 saddlebrown 8b4513 salmon fa8072 sandybrown
f4a460 seagreen 2e8b57 seashell fff5ee sienna a0522d silver c0c0c0 skyblue 87ceeb slateblue 6a5acd slategray 708090
snow fffafa springgreen 00ff7f steelblue 4682b4 tan d2b48c teal 008080 thistle d8bfd8 tomato ff6347 turquoise 40e0d0
violet ee82ee wheat f5deb3 white ffffff whitesmoke f5f5f5 yellow ffff00 yellowgreen 9acd32
"""


def _table(listed: str) -> dict[str, tuple[int, int, int]]:
    words = listed.split()
    colors = (bytes.fromhex(value) for value in words[1::2])
    return {name: (red, green, blue) for name, (red, green, blue) in zip(words[::2], colors, strict=True)}


NAMED = {"basic": _table(_BASIC), "css": _table(_CSS)}


def to_lab(colors: np.ndarray) -> np.ndarray:
    """uint8 `[M, 3]` sRGB → CIELAB (D65), float64 `[M, 3]`, by scikit-image."""
    from skimage.color import rgb2lab

    return rgb2lab(colors[:, None].astype(np.float64) / 255)[:, 0]


def from_lab(lab: np.ndarray) -> np.ndarray:
    """CIELAB float `[M, 3]` → uint8 `[M, 3]` sRGB, the nearest there is."""
    import warnings

    from skimage.color import lab2rgb

    with warnings.catch_warnings():  # it warns of what lies outside sRGB, and brings it inside, as is meant
        warnings.simplefilter("ignore")
        return np.rint(255 * lab2rgb(lab[:, None])[:, 0]).astype(np.uint8)


SPACES = {"lab": to_lab, "rgb": lambda colors: colors.astype(np.float64)}


def nearest_color(colors: np.ndarray, palette: np.ndarray, space: str) -> np.ndarray:
    """int64 `[M]`: which colour of the palette uint8 `[K, 3]` is nearest to each of uint8 `[M, 3]`.

    Args:
        space: `lab` (CIE76: the Euclidean distance in CIELAB) or `rgb`.
    """
    points, known = SPACES[space](colors), SPACES[space](palette)
    found = np.empty(len(colors), np.int64)
    for start in range(0, len(colors), step := max(1, 2**20 // len(palette))):
        part = points[start : start + step]
        distances = ((part[:, channel, None] - known[:, channel]) ** 2 for channel in range(3))
        distance = functools.reduce(np.add, distances)
        found[start : start + step] = distance.argmin(axis=1)
    return found
