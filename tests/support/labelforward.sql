-- The tables of LabelForward's services, as db_helper makes them; what is not in the contract is never touched by us.
CREATE TABLE text_data (
    text_id serial PRIMARY KEY,
    text_data text NOT NULL,
    labeled boolean NOT NULL,
    selected boolean NOT NULL,
    taught boolean NOT NULL,
    labels text[],
    users text[],
    major_label varchar(50),
    uncertainty double precision,
    predicted_label text
);
CREATE TABLE labels (
    label_id serial PRIMARY KEY,
    label text NOT NULL
);
CREATE TABLE init_data (
    init_id serial PRIMARY KEY,
    text_data text NOT NULL,
    label text NOT NULL
);
CREATE TABLE classifiers (
    clf_id serial PRIMARY KEY,
    clf bytea NOT NULL,
    precision_score double precision,
    created_at timestamp with time zone DEFAULT CURRENT_TIMESTAMP,
    download integer NOT NULL
);
CREATE TABLE countvecs (
    countvec_id serial PRIMARY KEY,
    countvec bytea NOT NULL
);
CREATE TABLE users (
    user_id serial PRIMARY KEY,
    email varchar(255) UNIQUE NOT NULL,
    password varchar(255) NOT NULL
);
CREATE TABLE accessors (
    acc_id serial PRIMARY KEY,
    email varchar(255) UNIQUE NOT NULL
);
CREATE TABLE sample_timestamps (
    sample_id serial PRIMARY KEY,
    user_id integer NOT NULL,
    text_id integer NOT NULL,
    start_time timestamp with time zone,
    end_time timestamp with time zone
);
CREATE TABLE downloads (
    download_id serial PRIMARY KEY,
    clf_id integer NOT NULL,
    file bytea NOT NULL
);
