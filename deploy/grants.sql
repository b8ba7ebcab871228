-- What the agent's database account may do. Run as an administrator, on the server the table is written on.
-- Change the password, the host it connects from, and the database name `whmcs`.
-- Each optional part is commented out: take away the leading `-- ` of its statements to grant it.
-- `audit-agent check` names each grant that is missing for what the configuration asks for.

-- == account ==
-- REQUIRE SSL where the agent is on another machine.
CREATE USER IF NOT EXISTS 'audit_agent'@'localhost' IDENTIFIED BY 'CHANGE-ME';

-- == reader ==
-- Read the table: all that shipping, verify and backfill need.
GRANT SELECT ON `whmcs`.`mod_impulsecore_audit_log` TO 'audit_agent'@'localhost';

-- == evidence: metadata_locks ==
-- Prove that a missing id is dead (MySQL 8.0 or newer; MariaDB with performance_schema=ON and the instrument
-- wait/lock/metadata/sql/mdl enabled). MariaDB with the plugin metadata_lock_info needs no grant for it.
GRANT SELECT ON `performance_schema`.`metadata_locks` TO 'audit_agent'@'localhost';
GRANT SELECT ON `performance_schema`.`setup_instruments` TO 'audit_agent'@'localhost';

-- == evidence: innodb_trx ==
-- Where neither of the above is to be had. PROCESS also shows the statements of other sessions: the widest grant here.
-- GRANT PROCESS ON *.* TO 'audit_agent'@'localhost';

-- == deleter ==
-- Only if retention deletes rows from the table (`mode: enforce`, or `retain --execute`).
-- GRANT DELETE ON `whmcs`.`mod_impulsecore_audit_log` TO 'audit_agent'@'localhost';

-- == settings ==
-- Only with `follow_core_setting`: read the retention Core itself uses.
-- GRANT SELECT ON `whmcs`.`mod_impulsecore_settings` TO 'audit_agent'@'localhost';

-- == replica: mysql ==
-- On each replica named in `pace.replicas`, so that its lag can be read. MySQL:
-- GRANT REPLICATION CLIENT ON *.* TO 'audit_agent'@'localhost';

-- == replica: mariadb ==
-- The same on MariaDB 10.5 or newer:
-- GRANT REPLICA MONITOR ON *.* TO 'audit_agent'@'localhost';
