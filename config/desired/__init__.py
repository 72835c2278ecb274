"""Configuration as a file: what an installation is to be, compared with what it is, and brought about.

`reading` knows lines, `kinds` the objects and how the management API makes them, `applying` the order and the
transactions, `changes` how a difference reads, `exporting` the way back, `litellm_config` a neighbour's file.
"""
