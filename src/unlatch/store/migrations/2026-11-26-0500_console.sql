-- The operator's console: what is under way now, and how each cloud answered lately; both bounded, whatever has gathered.
CREATE INDEX visit_under_way ON visit (begun_at) WHERE ended_at IS NULL OR tail IN ('watching', 'alarm', 'blind');
CREATE INDEX command_by_time ON command (created_at);
