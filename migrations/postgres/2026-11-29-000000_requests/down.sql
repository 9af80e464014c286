DROP TABLE request_hours;
DROP TABLE requests;
