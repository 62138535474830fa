"""The picture in a question of the demonstration: a chart of invented numbers of cases by month."""

import io

from PIL import Image, ImageDraw, ImageFont

CASES = (12, 18, 41, 27, 15, 9)
WIDTH, HEIGHT, BASELINE_Y = 720, 420, 360
BAR, GAP, PIXELS_PER_CASE = 70, 40, 7


def draw_chart() -> bytes:
    """Returns a column chart as PNG, the same each time."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen, letters = ImageDraw.Draw(picture), ImageFont.load_default(22)
    for position, cases in enumerate(CASES):
        left_edge = GAP + position * (BAR + GAP)
        pen.rectangle(
            (
                left_edge,
                BASELINE_Y - cases * PIXELS_PER_CASE,
                left_edge + BAR,
                BASELINE_Y,
            ),
            fill="#4a78a8",
        )
        pen.text(
            (
                left_edge + BAR / 2,
                BASELINE_Y - cases * PIXELS_PER_CASE - 16,
            ),
            str(cases),
            fill="black",
            font=letters,
            anchor="mm",
        )
        pen.text(
            (left_edge + BAR / 2, BASELINE_Y + 26),
            str(position + 1),
            fill="black",
            font=letters,
            anchor="mm",
        )
    pen.line(
        (GAP / 2, BASELINE_Y, WIDTH - GAP / 2, BASELINE_Y),
        fill="black",
        width=3,
    )
    png_file = io.BytesIO()
    picture.save(png_file, "PNG")
    return png_file.getvalue()
