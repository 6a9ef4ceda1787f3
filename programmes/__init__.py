"""The programme: the rules of one club as a file that a marketer can read (see five_star.yaml)."""
