"""Subscriptions: the R5 backport's topics and R4's own criteria. What is asked for, what matches, what is told.

How it is delivered is `edges/subscribers`'; who may see what is the gate's.
"""
