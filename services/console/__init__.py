"""The console: pages on which analysts work cases. It decides nothing by itself.

`model` is the database, made of the topics and made again of them at will; `follower` fills it; `queries` read it.
`users`, `sessions` and `roles` say who may do what; `writer` writes actions to the topics; `pages` and `routes` are the web.
Started by `assay console`.
"""
