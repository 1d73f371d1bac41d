use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use serde_json::Value;
use tokio::net::TcpListener;

use super::*;

const CHAIN: u64 = 31337;

/// An endpoint of our own: what it answers to each method, and how often it was asked.
#[derive(Default)]
struct Mock {
    chain: u64,
    block: u64,
    /// The whole reply to `eth_call`.
    call: Value,
    calls: AtomicUsize,
    /// The block of the last `eth_call`.
    asked_at: Mutex<Option<String>>,
}

impl Mock {
    fn answering(call: Value) -> Arc<Self> {
        Arc::new(Self {
            chain: CHAIN,
            block: 0x1234,
            call,
            ..Self::default()
        })
    }

    fn returning(byte: &str) -> Arc<Self> {
        Self::answering(json!({ "jsonrpc": "2.0", "id": 1, "result": byte }))
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

async fn answer(State(mock): State<Arc<Mock>>, Json(request): Json<Value>) -> Json<Value> {
    let number =
        |number: u64| json!({ "jsonrpc": "2.0", "id": 1, "result": format!("{number:#x}") });
    Json(match request["method"].as_str().unwrap() {
        "eth_chainId" => number(mock.chain),
        "eth_blockNumber" => number(mock.block),
        "eth_call" => {
            mock.calls.fetch_add(1, Ordering::SeqCst);
            let [call, block] = request["params"].as_array().unwrap().as_slice() else {
                panic!("two parameters");
            };
            assert!(call.get("to").is_none(), "the call goes to nobody");
            assert!(call["data"].as_str().unwrap().starts_with("0x"));
            *mock.asked_at.lock() = block.as_str().map(str::to_owned);
            mock.call.clone()
        }
        other => panic!("{other} was called"),
    })
}

async fn serve(router: Router) -> EndpointUrl {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "http://key:secret@{}/v3/secret",
        listener.local_addr().unwrap()
    );
    tokio::spawn(async move { axum::serve(listener, router).await });
    url.parse().unwrap()
}

async fn verifier(router: Router, timeout: Duration) -> EvmVerifier {
    let url = serve(router).await;
    EvmVerifier::new(BTreeMap::from([(CHAIN, url)]), timeout).unwrap()
}

async fn verifier_of(mock: &Arc<Mock>) -> EvmVerifier {
    let router = Router::new()
        .route("/v3/secret", post(answer))
        .with_state(Arc::clone(mock));
    verifier(router, DEFAULT_TIMEOUT).await
}

fn check() -> ContractCheck {
    ContractCheck {
        chain_id: CHAIN,
        address: [0xaa; 20],
        hash: [0x11; 32],
        signature: vec![5; 65],
        block: Some(7),
    }
}

#[tokio::test]
async fn a_verdict_is_made_at_the_block_asked_for() {
    let mock = Mock::returning("0x01");
    let verifier = verifier_of(&mock).await;
    let verdict = verifier.verify(&check()).await.unwrap();
    assert_eq!(
        verdict,
        Verdict {
            valid: true,
            block: 7
        }
    );
    assert_eq!(mock.asked_at.lock().as_deref(), Some("0x7"));
}

#[tokio::test]
async fn without_a_block_the_newest_one_is_used_and_named() {
    let mock = Mock::returning("0x00");
    let verifier = verifier_of(&mock).await;
    let check = ContractCheck {
        block: None,
        ..check()
    };
    let verdict = verifier.verify(&check).await.unwrap();
    assert_eq!(
        verdict,
        Verdict {
            valid: false,
            block: 0x1234
        }
    );
    assert_eq!(mock.asked_at.lock().as_deref(), Some("0x1234"));
}

#[tokio::test]
async fn a_verdict_is_remembered_for_exactly_its_question() {
    let mock = Mock::returning("0x01");
    let verifier = verifier_of(&mock).await;
    for _ in 0..3 {
        verifier.verify(&check()).await.unwrap();
    }
    assert_eq!(mock.calls(), 1);
    let others = [
        ContractCheck {
            address: [0xab; 20],
            ..check()
        },
        ContractCheck {
            hash: [0x12; 32],
            ..check()
        },
        ContractCheck {
            signature: vec![5; 66],
            ..check()
        },
        ContractCheck {
            block: Some(8),
            ..check()
        },
    ];
    for (asked, other) in others.iter().enumerate() {
        verifier.verify(other).await.unwrap();
        assert_eq!(mock.calls(), asked + 2);
    }
}

#[tokio::test]
async fn an_ordinary_account_is_recovered() {
    let mock = Mock::returning("0x02");
    let verifier = verifier_of(&mock).await;
    let (address, signature) = recover::tests::sign(&[0x11; 32]);
    let signed = ContractCheck {
        address,
        signature,
        ..check()
    };
    assert!(verifier.verify(&signed).await.unwrap().valid);
    assert!(!verifier.verify(&check()).await.unwrap().valid);
}

#[tokio::test]
async fn a_malformed_wrapping_and_an_endless_signature_are_invalid_without_a_call() {
    let mock = Mock::returning("0x01");
    let verifier = verifier_of(&mock).await;
    let mut malformed = erc6492::tests::wrap([1; 20], b"", b"");
    malformed[0] = 1;
    for signature in [malformed, vec![1; 60_000]] {
        let check = ContractCheck {
            signature,
            ..check()
        };
        assert!(!verifier.verify(&check).await.unwrap().valid);
    }
    assert_eq!(mock.calls(), 0);
}

#[tokio::test]
async fn a_chain_without_endpoint_is_named_together_with_the_flag() {
    let verifier = EvmVerifier::new(BTreeMap::new(), DEFAULT_TIMEOUT).unwrap();
    let error = verifier.verify(&check()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no EVM endpoint for chain eip155:31337; start with --evm 31337=URL"
    );
}

#[tokio::test]
async fn an_endpoint_of_another_chain_is_not_believed() {
    let mock = Arc::new(Mock {
        chain: 1,
        call: json!({ "result": "0x01" }),
        ..Mock::default()
    });
    let error = verifier_of(&mock).await.verify(&check()).await.unwrap_err();
    assert_eq!(
        error,
        EvmError::WrongChain {
            chain: CHAIN,
            found: 1
        }
    );
    assert_eq!(mock.calls(), 0);
}

#[tokio::test]
async fn a_refused_call_is_not_remembered() {
    let refusal = json!({ "error": { "code": -32000, "message": "missing trie node" } });
    let mock = Mock::answering(refusal);
    let verifier = verifier_of(&mock).await;
    for _ in 0..2 {
        let error = verifier.verify(&check()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the EVM endpoint for chain eip155:31337: refused with code -32000: missing trie node"
        );
    }
    assert_eq!(mock.calls(), 2);
}

#[tokio::test]
async fn replies_that_are_no_answer_are_errors() {
    let results = ["0x", "0x03", "0x0101", "01", "0x1", "0xzz"];
    let replies = results.map(|result| json!({ "result": result }));
    for reply in replies
        .into_iter()
        .chain([json!({}), json!({ "result": 1 })])
    {
        let verifier = verifier_of(&Mock::answering(reply.clone())).await;
        let error = verifier.verify(&check()).await.unwrap_err();
        let unexpected = matches!(
            error,
            EvmError::Rpc {
                cause: RpcError::Unexpected { .. },
                ..
            }
        );
        assert!(unexpected, "{reply}: {error}");
    }
}

#[tokio::test]
async fn a_reply_without_end_is_cut() {
    let endless = Router::new().route("/v3/secret", post(|| async { "x".repeat((1 << 20) + 1) }));
    let verifier = verifier(endless, DEFAULT_TIMEOUT).await;
    let error = verifier.verify(&check()).await.unwrap_err();
    assert!(
        matches!(
            error,
            EvmError::Rpc {
                cause: RpcError::TooLong,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn an_http_error_is_named_and_a_redirect_not_followed() {
    for status in [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::TEMPORARY_REDIRECT,
    ] {
        let failing = Router::new().route(
            "/v3/secret",
            post(move || async move { (status, [("location", "http://127.0.0.1:9/")]) }),
        );
        let verifier = verifier(failing, DEFAULT_TIMEOUT).await;
        let error = verifier.verify(&check()).await.unwrap_err();
        let cause = RpcError::Status(status.as_u16());
        assert_eq!(
            error,
            EvmError::Rpc {
                chain: CHAIN,
                cause
            }
        );
    }
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_given_up() {
    let silent = Router::new().route("/v3/secret", post(std::future::pending::<()>));
    let timeout = Duration::from_millis(50);
    let verifier = verifier(silent, timeout).await;
    let error = verifier.verify(&check()).await.unwrap_err();
    let cause = RpcError::Timeout(timeout);
    assert_eq!(
        error,
        EvmError::Rpc {
            chain: CHAIN,
            cause
        }
    );
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_named_without_its_key() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://key:secret@{}/v3/secret", free.local_addr().unwrap());
    drop(free);
    let endpoints = BTreeMap::from([(CHAIN, url.parse().unwrap())]);
    let verifier = EvmVerifier::new(endpoints, DEFAULT_TIMEOUT).unwrap();
    let error = verifier.verify(&check()).await.unwrap_err();
    assert!(matches!(
        error,
        EvmError::Rpc {
            cause: RpcError::Transport(_),
            ..
        }
    ));
    assert!(!format!("{error} {error:?} {verifier:?}").contains("secret"));
}

#[test]
fn an_option_is_off_or_a_chain_with_its_endpoint() {
    let option = |text: &str| text.parse::<EvmOption>();
    assert_eq!(option("off"), Ok(EvmOption::Off));
    assert_eq!(
        option("31337=http://127.0.0.1:8545"),
        option("eip155:31337=http://127.0.0.1:8545")
    );
    for text in [
        "",
        "on",
        "1",
        "1=",
        "x=http://a",
        "-1=http://a",
        "1=a",
        "http://a",
    ] {
        assert_eq!(option(text), Err(InvalidEvmOption), "{text}");
    }
}

#[test]
fn of_several_options_the_last_word_counts() {
    let options = [
        "1=http://a",
        "off",
        "1=http://b",
        "10=http://c",
        "1=http://d",
    ];
    let endpoints = EvmOption::endpoints(options.map(|text| text.parse().unwrap()));
    let texts: Vec<_> = endpoints.values().map(ToString::to_string).collect();
    assert_eq!(texts, ["http://d", "http://c"]);
    let off = ["1=http://a", "off"].map(|text| text.parse().unwrap());
    assert!(EvmOption::endpoints(off).is_empty());
}
