//! What the server says of itself (RFC 7643 sections 5 to 7, RFC 7644 section 4).

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::bulk::{MAX_BULK_OPERATIONS, MAX_BULK_PAYLOAD};
use super::list::{DEFAULT_COUNT, MAX_COUNT, list_response};
use super::schema::Registry;

/// The service provider configuration: only what is true.
pub fn service_provider_config(base_url: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": { "supported": true },
        "bulk": {
            "supported": true,
            "maxOperations": MAX_BULK_OPERATIONS,
            "maxPayloadSize": MAX_BULK_PAYLOAD,
        },
        "filter": { "supported": true, "maxResults": MAX_COUNT },
        "changePassword": { "supported": false },
        "sort": { "supported": true },
        "etag": { "supported": true },
        // RFC 9865 section 4. Cursors do not expire.
        "pagination": {
            "cursor": true,
            "index": true,
            "defaultPaginationMethod": "index",
            "defaultPageSize": DEFAULT_COUNT,
            "maxPageSize": MAX_COUNT,
        },
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "A token of the connection, sent as 'Authorization: Bearer TOKEN'",
            "specUri": "https://www.rfc-editor.org/info/rfc6750",
            "primary": true,
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": format!("{base_url}/ServiceProviderConfig"),
        },
    })
}

/// The schemas of what discovery itself answers: "for every schema URI used in a resource object,
/// there is a corresponding 'Schema' resource" (RFC 7643 section 7).
static OF_DISCOVERY: LazyLock<Vec<Value>> = LazyLock::new(|| {
    [
        include_str!("../../scim-schemas/discovery/service-provider-config.json"),
        include_str!("../../scim-schemas/discovery/resource-type.json"),
        include_str!("../../scim-schemas/discovery/schema.json"),
    ]
    .into_iter()
    .filter_map(|text| serde_json::from_str(text).ok())
    .collect()
});

fn schema_documents(registry: &Registry) -> impl Iterator<Item = &Value> {
    registry.schema_documents().iter().chain(OF_DISCOVERY.iter())
}

/// All schemas, as a list.
pub fn schemas(registry: &Registry, base_url: &str) -> Value {
    all(schema_documents(registry), "Schema", &format!("{base_url}/Schemas"))
}

/// The schema with that URN.
pub fn schema(registry: &Registry, base_url: &str, id: &str) -> Option<Value> {
    one(schema_documents(registry), "Schema", &format!("{base_url}/Schemas"), id)
}

/// All resource types, as a list.
pub fn resource_types(registry: &Registry, base_url: &str) -> Value {
    let documents = registry.resource_type_documents().iter();
    all(documents, "ResourceType", &format!("{base_url}/ResourceTypes"))
}

/// The resource type with that name.
pub fn resource_type(registry: &Registry, base_url: &str, id: &str) -> Option<Value> {
    let endpoint = format!("{base_url}/ResourceTypes");
    one(registry.resource_type_documents().iter(), "ResourceType", &endpoint, id)
}

fn all<'a>(documents: impl Iterator<Item = &'a Value>, kind: &str, endpoint: &str) -> Value {
    let resources: Vec<Value> =
        documents.map(|document| with_meta(document, kind, endpoint)).collect();
    list_response(u64::try_from(resources.len()).unwrap_or(u64::MAX), 1, &resources)
}

fn one<'a>(
    mut documents: impl Iterator<Item = &'a Value>,
    kind: &str,
    endpoint: &str,
    id: &str,
) -> Option<Value> {
    let has_id = |document: &&Value| {
        document.get("id").and_then(Value::as_str).is_some_and(|own| own.eq_ignore_ascii_case(id))
    };
    documents.find(has_id).map(|document| with_meta(document, kind, endpoint))
}

fn with_meta(document: &Value, kind: &str, endpoint: &str) -> Value {
    let mut object: Map<String, Value> = document.as_object().cloned().unwrap_or_default();
    let id = object.get("id").and_then(Value::as_str).unwrap_or_default();
    let meta = json!({ "resourceType": kind, "location": format!("{endpoint}/{id}") });
    object.insert("meta".to_owned(), meta);
    object.into()
}
