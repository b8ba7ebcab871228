"""The only door to OpenSearch: everything that leaves for the cluster, and every answer, passes here.

    client ─ one call, one translated error        bulk ─ documents in, outcomes out (triage is pure)
    names, partitions, mappings, templates          the indices a document lives in, kept in order
    state, dead_letters, journal                    the agent's own documents
    search, documents, reindex, facts               reading, deleting, rebuilding, and what the cluster says of itself

It promises that no error of the driver leaves this package, that no message holds a credential, and that nothing
waits longer than the configured timeout. When to retry, and what to do with an outcome, is the steps' business.
"""
