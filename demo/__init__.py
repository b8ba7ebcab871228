"""Private MariaDB and OpenSearch for a laptop or CI, realistic audit rows, and the guided tour.

    downloads ─► cache ─┐
    java ───────────────┼─► opensearch_server ─┐
    system_user ────────┤                      ├─► servers ─► tour
    process ────────────┴─► mariadb_server ────┘              ▲
                            rows · writer ────────────────────┘

Nothing here is part of the agent: the tour drives the agent through its command line only. Servers listen on
loopback, on free ports, with throwaway data, and never outlive the process that started them.
"""
