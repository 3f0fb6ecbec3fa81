"""Results where somebody looks at them: a table of pandas, a notebook's cell, a curve in a figure of one's own."""
