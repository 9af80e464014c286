//! The tables, the same on both databases.

diesel::table! {
    connections (id) {
        id -> Text,
        name -> Text,
        name_fold -> Text,
        provider -> Text,
        membership -> Text,
        unknown_members -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    tokens (id) {
        id -> Text,
        connection_id -> Text,
        hash -> Text,
        label -> Text,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        last_used_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    users (id) {
        id -> Text,
        connection_id -> Text,
        user_name -> Text,
        user_name_fold -> Text,
        external_id -> Nullable<Text>,
        display_name -> Nullable<Text>,
        display_name_fold -> Nullable<Text>,
        active -> Bool,
        scim_owned -> Bool,
        document -> Text,
        version -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    user_emails (user_id, position) {
        user_id -> Text,
        position -> BigInt,
        connection_id -> Text,
        value_fold -> Text,
    }
}

diesel::table! {
    teams (id) {
        id -> Text,
        connection_id -> Text,
        display_name -> Text,
        display_name_fold -> Text,
        external_id -> Nullable<Text>,
        scim_managed -> Bool,
        document -> Text,
        version -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    memberships (team_id, user_id) {
        team_id -> Text,
        user_id -> Text,
        connection_id -> Text,
        scim -> Bool,
        scim_at -> Nullable<BigInt>,
        claim -> Bool,
        claim_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    events (sequence) {
        sequence -> BigInt,
        connection_id -> Text,
        at -> BigInt,
        actor -> Text,
        actor_id -> Nullable<Text>,
        request_id -> Nullable<Text>,
        action -> Text,
        subject -> Text,
        subject_id -> Text,
        data -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(users, user_emails, teams, memberships);
