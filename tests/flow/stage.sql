INSERT INTO carrier VALUES ('car_' || %(n)s, 'Carrier', %(key)s, %(now)s);
INSERT INTO consignee VALUES ('con_' || %(n)s, 'car_' || %(n)s, 'Ann Lee', 'en', %(key)s, %(now)s);
INSERT INTO courier VALUES ('cou_' || %(n)s, 'car_' || %(n)s, 'Bo', true, %(now)s);
INSERT INTO device (id, courier_id, thumbprint, created_at, enrolled_at)
    VALUES ('dev_' || %(n)s, 'cou_' || %(n)s, %(n)s, %(now)s, %(now)s);
INSERT INTO access_point (id, carrier_id, consignee_id, kind, latitude, longitude, range_m, time_zone,
    allows_unseen_lock, is_consent_given, created_at)
    VALUES ('acc_' || %(n)s, 'car_' || %(n)s, 'con_' || %(n)s, 'car', 33.749, -84.388, 200, 'America/New_York',
        true, true, %(now)s);
INSERT INTO vehicle (access_point_id, maker, account_kind, sealed, make, model, colour, plate)
    VALUES ('acc_' || %(n)s, %(maker)s, %(kind)s, %(sealed)s, 'Chevrolet', 'Malibu', 'blue', 'ABC 123');
INSERT INTO shipment VALUES ('shp_' || %(n)s, 'car_' || %(n)s, 'con_' || %(n)s, 'order 1', %(now)s);
INSERT INTO stop (id, carrier_id, courier_id, access_point_id, shipment_id, window_from, window_until, fallback,
    state, created_at)
    VALUES ('stp_' || %(n)s, 'car_' || %(n)s, 'cou_' || %(n)s, 'acc_' || %(n)s, 'shp_' || %(n)s, %(before)s,
        %(after)s, 'to_door', 'open', %(now)s);
INSERT INTO parcel VALUES ('par_' || %(n)s, 'car_' || %(n)s, 'shp_' || %(n)s, 'stp_' || %(n)s, %(label_key)s,
    'with_courier', 'cou_' || %(n)s, %(now)s);
