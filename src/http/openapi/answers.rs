//! Answers that several routes give.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{
        ContentBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Type,
        header::HeaderBuilder,
    },
};

use crate::http::problem;

/// Makes a set of answers that several routes give.
macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident { $($status:literal => $description:literal,)+ })+) => {
        $($(#[$doc])*
        pub(in crate::http) enum $name {}

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                BTreeMap::from([$(($status.to_string(), problem_answer($status, $description))),+])
            }
        })+
    };
}

answers! {
    /// Of every route that needs a token.
    Denied {
        401 => "`unauthorized`: there is no token, or it is not valid (any more).",
        403 => "The token does not allow it: `missing_permission`, `wrong_tenant`, `platform_only`, `unknown_tenant`, `unknown_role`.",
        500 => "`internal`: the fault is the server's.",
        503 => "`store_unavailable`: the store cannot be asked now.",
    }
    /// Of routes within a tenant, beside [`Denied`].
    OfTenant {
        400 => "A parameter is wrong: `invalid_parameter`, `invalid_cursor`; or the platform token came without tenant: `missing_tenant`.",
        404 => "`not_found`: there is no such thing in this tenant, or no such tenant.",
    }
    /// Of routes of the platform without a thing in the path, beside [`Denied`].
    OfPlatform {
        400 => "A parameter is wrong: `invalid_parameter`, `invalid_cursor`.",
    }
    /// Of routes that take a body, beside the others.
    WithBody {
        400 => "The body is no JSON: `malformed_json`, `incomplete_body`; a parameter is wrong: `invalid_parameter`; or the platform token came without tenant: `missing_tenant`.",
        408 => "`request_timeout`: the body did not arrive in time.",
        413 => "`body_too_large`.",
        415 => "`unsupported_media_type`: send `application/json`.",
        422 => "`invalid_content`: `errors` says what is wrong with each field.",
    }
    /// Of routes that go to a tenant's actor.
    Commanded {
        409 => "`conflict`: it contradicts what is there; `code` may be more precise.",
        429 => "`busy`: the tenant has too many requests waiting.",
    }
    /// Of routes that publish, beside the others.
    Publishing {
        403 => "The token does not allow it (`missing_permission`, `wrong_tenant`), or `tenant_suspended`.",
        409 => "`idempotency_key_reused`: the key was used for another message.",
    }
    /// Of routes that count attempts, beside [`OfTenant`].
    Counting {
        400 => "A parameter is wrong: `invalid_parameter`; there are more attempts than are counted at once: `too_many_attempts`; or the platform token came without tenant: `missing_tenant`.",
    }
    /// Of routes of which few may be under way at a time.
    Limited {
        429 => "`busy`: too many of these are under way.",
    }
    /// Of sealing.
    Sealing {
        409 => "`nothing_to_seal`: the ledger is empty.",
        429 => "`busy`: others seal at the same time.",
    }
    /// Of routes that take `If-Match`.
    Conditional {
        412 => "`precondition_failed`: the webhook has another version by now.",
    }
    /// Of Stripe's callbacks.
    Verified {
        400 => "`invalid_signature`: it was not signed by Stripe, not now, or not so; `malformed_callback`: it was, but is no event; `incomplete_body`; `invalid_parameter`.",
        408 => "`request_timeout`: the body did not arrive in time.",
        413 => "`body_too_large`: over 1 MiB.",
        429 => "`too_many_failures`: from this address came too much that was not signed; `busy`: too much arrives at once.",
        500 => "`internal`: the fault is the server's.",
        503 => "`stripe_not_configured`: there is no signing secret; `store_unavailable`: the store cannot be asked now.",
    }
    /// Of `/readyz`.
    NotReadyAnswer {
        503 => "It cannot; `code` and `detail` say why.",
    }
}

fn problem_answer(status: u16, description: &str) -> RefOr<Response> {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    let mut response = ResponseBuilder::new()
        .description(description)
        .content(problem::MEDIA_TYPE, content);
    let header = |description: &str, r#type: Type| {
        HeaderBuilder::new()
            .schema(ObjectBuilder::new().schema_type(r#type))
            .description(Some(description))
            .build()
    };
    if status == 401 {
        response = response.header("WWW-Authenticate", header("Bearer", Type::String));
    }
    if status == 429 || status == 503 {
        let text = "Seconds after which to try again";
        response = response.header("Retry-After", header(text, Type::Integer));
    }
    RefOr::T(response.build())
}
