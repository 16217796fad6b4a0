-- Workers ask for jobs every few hundredths of a second, and are not told of each. The engine's trigger sent a NOTIFY
-- for every insert, update and delete of a job, and a transaction that notifies takes a lock over the whole
-- database until its commit is on the disk: no two scans could commit at once. Safe while the last release runs: its
-- workers ask once a second, whether they are told or not.
ALTER TABLE pgqueuer DISABLE TRIGGER tg_pgqueuer_changed;
