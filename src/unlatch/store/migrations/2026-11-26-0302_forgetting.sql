-- What is forgotten by its age is found by its age.
CREATE INDEX notice_by_age ON notice (created_at);
CREATE INDEX preflight_by_age ON preflight (at);
CREATE INDEX duty_ended ON duty (ended_at) WHERE ended_at IS NOT NULL;
