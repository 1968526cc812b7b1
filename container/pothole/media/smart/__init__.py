"""Smart rendering: what carries no mark goes to the output as it is, and only the rest is coded anew.

A group of pictures (GOP) begins with a picture that needs no other one (IDR). H.264 that is coded anew has
parameter sets of its own, beside those of the source in the head of the file, so that both kinds of GOPs may
follow one another. In the order of the work: `plan` looks at the source, `chunks` reads its packets once
more, `segment` writes packets and frames. `parameter_sets` knows the bits.
"""
