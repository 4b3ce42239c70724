"""What a figure is drawn for: a column or the width of a journal's page, or a slide."""

from dataclasses import dataclass, replace

INCH = 25.4
# A figure's own width is the one that its content needs; the two others are what is asked for.
WIDTHS = ("own", "one", "two")


@dataclass(frozen=True)
class Page:
    """The sizes of a figure.

    one, two: inches, the width of a figure over one column or over two; font: points of the words;
    line: points of a curve; dpi: pixels an inch of the PNG; width: one of WIDTHS.
    """

    style: str
    one: float
    two: float
    font: float
    line: float
    dpi: int
    width: str = "own"

    def columns(self, own):
        """Return 'one' or 'two': how wide a figure is whose own width is `own`."""
        return own if self.width == "own" else self.width

    def inches(self, own):
        """Return the width in inches of a figure whose own width is `own`."""
        return self.two if self.columns(own) == "two" else self.one

    def scale(self, inches):
        """Return a height in inches, given for a paper, as high as this page has it."""
        return inches * self.two / STYLES["paper"].two


# Nature's figures are 89 or 183 mm wide; those of IEEE (88.9, 181) and Elsevier (90, 190) are near.
# Words of 5 points are the smallest that Nature takes. A slide is 13.3 inches wide.
STYLES = {
    "paper": Page("paper", 89 / INCH, 183 / INCH, font=8, line=1.2, dpi=300),
    "talk": Page("talk", 6.2, 12.4, font=17, line=2.5, dpi=150),
}
PAPER = STYLES["paper"]


def choose(style="paper", width="own"):
    """Return the Page of a style, one of STYLES, and a width, one of WIDTHS."""
    return replace(STYLES[style], width=width)
