"""The only package that speaks to Kafka: writer, tail reader, random reader, registry, admin.

Errors of the client are translated here, once, to the tree of core/errors.py.
"""
