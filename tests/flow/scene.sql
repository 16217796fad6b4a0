-- A second car of the same consignee, a second courier, a member of the household, and a stranger.
INSERT INTO access_point
    SELECT 'acb_' || %(n)s, carrier_id, consignee_id, kind, latitude, longitude, range_m, time_zone, allows_unseen_lock,
        is_consent_given, blocked_at, consent_ends_at, from_local, until_local, is_frozen, created_at
    FROM access_point WHERE id = 'acc_' || %(n)s;
INSERT INTO vehicle (access_point_id, maker, account_kind, sealed, make, model, colour, plate)
    VALUES ('acb_' || %(n)s, %(maker)s, %(kind)s, %(sealed_b)s, 'Buick', 'Envista', 'red', 'XYZ 789');
INSERT INTO courier VALUES ('cob_' || %(n)s, 'car_' || %(n)s, 'Cy', true, %(now)s);
INSERT INTO consignee (id, carrier_id, name, language, key_hash, created_at) VALUES
    ('com_' || %(n)s, 'car_' || %(n)s, 'Max Lee', 'en', %(key_m)s, %(now)s),
    ('cos_' || %(n)s, 'car_' || %(n)s, 'A Stranger', 'en', %(key_s)s, %(now)s);
INSERT INTO member (access_point_id, consignee_id, joined_at)
    VALUES ('acc_' || %(n)s, 'com_' || %(n)s, %(now)s);
UPDATE access_point SET time_zone = %(zone)s WHERE id IN ('acc_' || %(n)s, 'acb_' || %(n)s);
