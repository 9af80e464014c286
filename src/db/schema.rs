//! The tables, the same on both databases; but for `totals`, which triggers fill.

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
        issuer -> Nullable<Text>,
        client_id -> Nullable<Text>,
        client_secret_file -> Nullable<Text>,
        groups_claim -> Text,
        groups_filter -> Nullable<Text>,
        external_id_claim -> Nullable<Text>,
        user_name_claim -> Text,
        jit -> Bool,
        own_callback -> Bool,
        brake_users -> Nullable<Text>,
        brake_members -> Nullable<BigInt>,
        brake_window -> BigInt,
        console_role -> Nullable<Text>,
    }
}

diesel::table! {
    brakes (connection_id) {
        connection_id -> Text,
        held_at -> Nullable<BigInt>,
        released_until -> Nullable<BigInt>,
    }
}

diesel::table! {
    removals (id) {
        id -> Text,
        connection_id -> Text,
        at -> BigInt,
        users -> BigInt,
        members -> BigInt,
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
        scopes -> Text,
        allow_from -> Text,
    }
}

diesel::table! {
    token_quirks (token_id, quirk) {
        token_id -> Text,
        quirk -> Text,
        first_used_at -> BigInt,
        last_used_at -> BigInt,
        uses -> BigInt,
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
        issuer -> Nullable<Text>,
        subject -> Nullable<Text>,
        linked_external_id -> Nullable<Text>,
        claim_issued_at -> Nullable<BigInt>,
        signed_in_at -> Nullable<BigInt>,
        token_issued_at -> Nullable<BigInt>,
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
        scim_by -> Nullable<Text>,
        claim_by -> Nullable<Text>,
    }
}

diesel::table! {
    unique_values (connection_id, kind, attribute, value) {
        connection_id -> Text,
        kind -> Text,
        attribute -> Text,
        value -> Text,
        user_id -> Nullable<Text>,
        team_id -> Nullable<Text>,
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
        position -> Nullable<BigInt>,
        changes -> Nullable<Text>,
    }
}

diesel::table! {
    seals (number) {
        number -> BigInt,
        first_position -> BigInt,
        last_position -> BigInt,
        events_hash -> Text,
        hash -> Text,
        sealed_at -> BigInt,
        pruned_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    roles (team_id, role) {
        team_id -> Text,
        connection_id -> Text,
        role -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    apps (id) {
        id -> Text,
        name -> Text,
        name_fold -> Text,
        secret_hash -> Nullable<Text>,
        redirect_uris -> Text,
        allow_implicit -> Bool,
        created_at -> BigInt,
    }
}

diesel::table! {
    admin_tokens (id) {
        id -> Text,
        hash -> Text,
        label -> Text,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        last_used_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
        allow_from -> Text,
    }
}

diesel::table! {
    webhooks (id) {
        id -> Text,
        connection_id -> Nullable<Text>,
        url -> Text,
        label -> Text,
        types -> Nullable<Text>,
        state -> Text,
        reason -> Nullable<Text>,
        state_at -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        secret_at -> BigInt,
    }
}

diesel::table! {
    webhook_deliveries (webhook_id) {
        webhook_id -> Text,
        secret -> Nullable<Text>,
        old_secret -> Nullable<Text>,
        old_secret_until -> Nullable<BigInt>,
        cursor -> BigInt,
        lease -> Nullable<Text>,
        lease_until -> Nullable<BigInt>,
        failures -> BigInt,
        failing_since -> Nullable<BigInt>,
        next_attempt_at -> Nullable<BigInt>,
        last_delivered_at -> Nullable<BigInt>,
        last_error -> Nullable<Text>,
        last_error_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    flows (state_hash) {
        state_hash -> Text,
        browser_hash -> Text,
        connection_id -> Text,
        nonce -> Text,
        pkce_verifier -> Text,
        request -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    sessions (id) {
        id -> Text,
        hash -> Text,
        connection_id -> Text,
        user_id -> Text,
        created_at -> BigInt,
        last_seen_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    codes (hash) {
        hash -> Text,
        session_id -> Text,
        app_id -> Text,
        redirect_uri -> Text,
        code_challenge -> Nullable<Text>,
        expires_at -> BigInt,
        used_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    access_tokens (hash) {
        hash -> Text,
        session_id -> Text,
        app_id -> Text,
        code_hash -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    console_sessions (hash) {
        hash -> Text,
        admin_token_id -> Text,
        created_at -> BigInt,
        last_seen_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    share_links (id) {
        id -> Text,
        hash -> Text,
        connection_id -> Text,
        label -> Text,
        may_set_up -> Bool,
        created_at -> BigInt,
        expires_at -> BigInt,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    secrets (name) {
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    requests (id) {
        id -> BigInt,
        connection_id -> Nullable<Text>,
        at -> BigInt,
        duration -> BigInt,
        kind -> Text,
        method -> Text,
        path -> Text,
        query -> Nullable<Text>,
        status -> BigInt,
        outcome -> Nullable<Text>,
        scim_type -> Nullable<Text>,
        detail -> Nullable<Text>,
        token_id -> Nullable<Text>,
        request_id -> Text,
        resource_type -> Nullable<Text>,
        user_id -> Nullable<Text>,
        user_name -> Nullable<Text>,
        user_name_fold -> Nullable<Text>,
        team_id -> Nullable<Text>,
        team_name -> Nullable<Text>,
        team_name_fold -> Nullable<Text>,
        client -> Nullable<Text>,
        user_agent -> Nullable<Text>,
        quirks -> Nullable<Text>,
        resources -> Nullable<BigInt>,
        request_size -> Nullable<BigInt>,
        request_body -> Nullable<Text>,
        answer_size -> Nullable<BigInt>,
        answer_body -> Nullable<Text>,
        facts -> Nullable<Text>,
    }
}

diesel::table! {
    request_hours (connection_id, hour) {
        connection_id -> Text,
        hour -> BigInt,
        requests -> BigInt,
        errors -> BigInt,
        last_push_at -> Nullable<BigInt>,
        last_sign_in_at -> Nullable<BigInt>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(users, user_emails, teams, memberships, roles);
diesel::joinable!(webhook_deliveries -> webhooks (webhook_id));
diesel::allow_tables_to_appear_in_same_query!(webhooks, webhook_deliveries);
