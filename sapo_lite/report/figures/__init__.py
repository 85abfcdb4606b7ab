"""Figures of a run or a comparison as files for papers and slides: SVG, PDF and PNG, drawn by matplotlib.

matplotlib, because one library writes all three without a browser (plotly's and altair's writers bring one
each), embeds fonts that journals accept, and nearly every lab has it. It is an extra, imported late.

    style.py                                  size, colours and axes that all figures share
    run_figures.py, comparison_figures.py     what is drawn
    files.py                                  `write_figures`
"""
