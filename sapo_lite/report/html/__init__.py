"""Reports as one self-contained HTML file: no network, light and dark, for screens, phones and paper.

Plots are inline SVG made here: their colours come from the style sheet, so they follow the scheme of the
page; their texts can be selected, searched and read aloud; and no library of megabytes stands in every file.
Tables that are coloured need no plot at all. Texts of data and models are escaped by Jinja2.
"""
