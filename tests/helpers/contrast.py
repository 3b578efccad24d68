"""The contrast ratio of WCAG 2.2, written from its definition and not from the code that chooses the colours."""


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, "#rrggbb": 1 to 21."""
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    """Return WCAG's relative luminance, 0 to 1."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
