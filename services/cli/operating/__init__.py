"""Commands of who operates Assay: topics, rights, what is wrong, what comes out, what it needs."""
