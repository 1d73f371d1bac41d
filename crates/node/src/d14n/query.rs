//! Reading the log: pages by topic or originator, newest envelopes, and the address index.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_store::{Content, Page};
use folkmoot_wire::proto::xmtp::xmtpv4::{
    envelopes::OriginatorEnvelope,
    message_api::{
        GetInboxIdsRequest, GetInboxIdsResponse, QueryEnvelopesRequest, get_inbox_ids_response,
        get_newest_envelope_response,
    },
};

use crate::{
    NodeError,
    d14n::{
        D14n, clock,
        fields::{Wanted, topics, wanted},
    },
    v3::at_most,
};

/// Rows of a page, at most and when the client does not say.
const PAGE_ROWS: u32 = 1000;
/// Most addresses in one question for their inboxes.
const MOST_ADDRESSES: usize = 1000;
/// Topics whose newest envelopes are read together: what is in memory at once stays small.
const NEWEST_AT_A_TIME: usize = 256;

impl D14n {
    /// What the query's cursor has not seen, by ascending (originator, sequence).
    pub(super) async fn envelopes(
        &self,
        request: QueryEnvelopesRequest,
    ) -> Result<Vec<OriginatorEnvelope>, NodeError> {
        let mut query = request.query.unwrap_or_default();
        let last_seen = query.last_seen.take().unwrap_or_default();
        let seen = clock("query.last_seen", last_seen)?;
        let page = Page {
            envelopes: rows(request.limit),
            bytes: self.node.inner.config.max_page_bytes,
        };
        let store = &self.node.inner.store;
        let found = match wanted(query)? {
            Wanted::Nothing => Vec::new(),
            Wanted::Topics(topics) => store.unseen_by_topic(&topics, &seen, page).await?,
            Wanted::Originators(ids) => store.unseen_by_originator(&ids, &seen, page).await?,
        };
        let found: Vec<_> = found.into_iter().map(Arc::new).collect();
        self.node.inner.signer.signed(&found).await
    }

    /// The newest envelope of each topic, in the order asked.
    pub(super) async fn newest_envelopes(
        &self,
        names: Vec<Bytes>,
    ) -> Result<Vec<get_newest_envelope_response::Response>, NodeError> {
        let topics = topics("topics", names)?;
        let most = self.node.inner.config.max_page_bytes;
        let mut bytes = 0;
        let mut results = Vec::with_capacity(topics.len());
        for topics in topics.chunks(NEWEST_AT_A_TIME) {
            let newest = self.node.inner.store.newest(topics, Content::Full).await?;
            let found: Vec<_> = newest.iter().flatten().cloned().map(Arc::new).collect();
            bytes += found.iter().map(|one| one.payload.len()).sum::<usize>();
            if bytes > most {
                return Err(NodeError::TooMuch(format!(
                    "the answer would pass {most} bytes; ask for fewer topics"
                )));
            }
            let mut signed = self.node.inner.signer.signed(&found).await?.into_iter();
            results.extend(newest.iter().map(|found| {
                let originator_envelope = found.as_ref().and_then(|_| signed.next());
                get_newest_envelope_response::Response {
                    originator_envelope,
                }
            }));
        }
        Ok(results)
    }

    /// The inbox of each address, in the order asked.
    pub(super) async fn inbox_ids(
        &self,
        request: GetInboxIdsRequest,
    ) -> Result<GetInboxIdsResponse, NodeError> {
        at_most("requests", request.requests.len(), MOST_ADDRESSES)?;
        let asked = request.requests.into_iter();
        let asked = asked.map(|one| (one.identifier, one.identifier_kind));
        let found = self.node.inboxes(asked.collect()).await?.into_iter();
        let responses = found.map(|found| get_inbox_ids_response::Response {
            identifier: found.identifier,
            inbox_id: found.inbox_id,
            identifier_kind: found.kind as i32,
        });
        Ok(GetInboxIdsResponse {
            responses: responses.collect(),
        })
    }
}

/// How many rows a page has.
const fn rows(asked: u32) -> usize {
    if asked == 0 || asked > PAGE_ROWS {
        PAGE_ROWS as usize
    } else {
        asked as usize
    }
}
