//! Bad input, method by method: what is malformed, oversized, truncated, mistyped or hostile gets
//! its status, in words that name the field; nothing of it is stored, and the node still answers
//! whoever asks properly. Real connections to a whole node on a free port.
//!
//! Statuses: `docs/wire`, node API section 8.

#![expect(
    clippy::unwrap_used,
    reason = "support functions of tests are tests too"
)]

mod d14n;
mod fairness;
mod harness;
mod identity;
mod mls;
mod push;
mod subscribe;
mod transport;
mod validation;

use harness::Method;

/// What the project promises.
const PROMISED_CASES: usize = 150;

macro_rules! transcripts {
    ($($area:ident: $($method:ident),+;)+) => {
        $(mod $area { $(
            #[tokio::test]
            async fn $method() {
                crate::$area::$method().run().await;
            }
        )+ })+

        fn all() -> Vec<Method> {
            vec![$($(crate::$area::$method()),+),+]
        }
    };
}

mod transcripts {
    use super::Method;

    transcripts! {
        mls: send_group_messages, send_welcome_messages, upload_key_package, register_installation,
            fetch_key_packages, revoke_installation, get_identity_updates, query_group_messages,
            query_welcome_messages, subscribe_group_messages, subscribe_welcome_messages,
            batch_publish_commit_log, batch_query_commit_log, get_newest_group_message;
        identity: publish_identity_update, get_identity_updates, get_inbox_ids,
            verify_smart_contract_wallet_signatures;
        validation: validate_group_messages, get_association_state,
            validate_inbox_id_key_packages, verify_smart_contract_wallet_signatures;
        push: publish, subscribe, subscribe_all, fetch_d14n_cutover;
        subscribe: v3, d14n;
        d14n: publish_client_envelopes, gateway_publish_client_envelopes, get_nodes,
            gateway_get_nodes, publish_payer_envelopes, replication_publish_payer_envelopes,
            query_envelopes, replication_query_envelopes, get_newest_envelope,
            replication_get_newest_envelope, get_inbox_ids, replication_get_inbox_ids,
            subscribe_envelopes, subscribe_topics, replication_subscribe_topics,
            subscribe_originators, subscribe_all_envelopes, get_payer_info, get_version,
            get_sync_cursor, subscribe_sync_cursor;
    }

    #[test]
    fn there_is_a_transcript_for_every_method_and_as_many_cases_as_promised() {
        let all = all();
        let mut paths: Vec<_> = all.iter().map(|method| method.path.to_owned()).collect();
        paths.sort();
        let pool = prost_reflect::DescriptorPool::decode(folkmoot_wire::DESCRIPTORS).unwrap();
        let services: Vec<_> = pool.services().collect();
        let mut served: Vec<_> = services
            .iter()
            .flat_map(|service| {
                let name = service.full_name();
                let methods = service.methods();
                methods.map(move |method| format!("/{name}/{}", method.name()))
            })
            .collect();
        served.sort();
        assert_eq!(paths, served);
        let cases: usize = all.iter().map(|method| method.cases.len()).sum();
        assert!(cases >= super::PROMISED_CASES, "{cases}");
    }
}
