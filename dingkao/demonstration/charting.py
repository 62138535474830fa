"""The picture of the demonstration's questions: cases by month, made up."""

import io

from PIL import Image, ImageDraw, ImageFont

CASES = (12, 18, 41, 27, 15, 9)
WIDTH, HEIGHT, GROUND = 720, 420, 360
BAR, GAP, PER_CASE = 70, 40, 7


def chart() -> bytes:
    """A chart of columns as PNG, the same each time."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen, letters = ImageDraw.Draw(picture), ImageFont.load_default(22)
    for place, cases in enumerate(CASES):
        left = GAP + place * (BAR + GAP)
        pen.rectangle((left, GROUND - cases * PER_CASE, left + BAR, GROUND), fill="#4a78a8")
        pen.text((left + BAR / 2, GROUND - cases * PER_CASE - 16), str(cases), fill="black", font=letters, anchor="mm")
        pen.text((left + BAR / 2, GROUND + 26), str(place + 1), fill="black", font=letters, anchor="mm")
    pen.line((GAP / 2, GROUND, WIDTH - GAP / 2, GROUND), fill="black", width=3)
    written = io.BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()
