"""Networks that find boxes alone, with models of others, run by OpenVINO in the format in which they come."""
