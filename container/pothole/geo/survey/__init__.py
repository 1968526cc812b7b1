"""Many drives become one list of the potholes of a network of roads.

In the order of the work: `drives` reads reports, `match` says which pothole of one drive is which of another,
`records` tells of each what is known of it, `roads` finds it on the roads of a network, `sections` counts by
their pieces, `reported` compares with what people reported, `page` shows the list, `lists` writes it all.
"""
