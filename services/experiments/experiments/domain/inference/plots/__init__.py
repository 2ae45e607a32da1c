"""Results as SVG text: `forest`, `cumulative`, `exposures`, `posterior`; each a pure function, drawn with `svg`.

Every plot stands alone: a title and a description for who cannot see it, no script, no font or file from elsewhere,
colours that a colour-blind person tells apart (Okabe & Ito 2008), on a background of its own.
"""
