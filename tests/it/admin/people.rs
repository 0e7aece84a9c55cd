//! People: invited, logged in, with a second factor, changed, refused.

mod command;
mod factor;
mod login;
mod session;
mod users;

use super::world::{Answer, BOOTSTRAP, World};
use hyper::Method;
use serde_json::{Value, json};

const PASSWORD: &str = "a long enough phrase";

/// Somebody's browser: what it sends beside each call.
#[derive(Clone, Debug)]
pub(super) struct Browser {
    pub(super) cookie: String,
    pub(super) csrf: String,
}

impl Browser {
    /// A call as the console makes it.
    fn call(&self, world: &World, method: &Method, target: &str, body: Option<&Value>) -> Answer {
        let headers = [("cookie", self.cookie.as_str()), ("x-csrf-token", &self.csrf), ("if-match", "*")];
        world.send("127.0.0.1", &headers, method, target, body)
    }

    fn get(&self, world: &World, target: &str) -> Answer {
        self.call(world, &Method::GET, target, None)
    }

    fn post(&self, world: &World, target: &str, body: Value) -> Answer {
        self.call(world, &Method::POST, target, Some(&body))
    }

    fn patch(&self, world: &World, target: &str, body: Value) -> Answer {
        self.call(world, &Method::PATCH, target, Some(&body))
    }

    fn delete(&self, world: &World, target: &str, body: Option<Value>) -> Answer {
        self.call(world, &Method::DELETE, target, body.as_ref())
    }
}

/// Invites somebody into account 1; the id and the token.
#[track_caller]
fn invite(world: &World, email: &str, role: &str) -> (String, String) {
    let invited =
        world.post(BOOTSTRAP, "/v1/users/invite", json!({ "email": email, "role": role })).expect(201);
    let text = |name: &str| invited[name].as_str().unwrap().to_owned();
    (text("id"), text("invite_token"))
}

fn accept(world: &World, token: &str, name: &str, password: &str) -> Answer {
    let body = json!({ "token": token, "name": name, "password": password });
    world.send("127.0.0.1", &[], &Method::POST, "/v1/invites:accept", Some(&body))
}

/// Somebody of account 1 who has accepted with [`PASSWORD`]; the id.
#[track_caller]
fn person(world: &World, email: &str, role: &str) -> String {
    let (id, token) = invite(world, email, role);
    accept(world, &token, "Ada", PASSWORD).expect(200);
    id
}

fn try_from(world: &World, peer: &str, body: Value) -> Answer {
    world.send(peer, &[], &Method::POST, "/v1/session", Some(&body))
}

fn try_login(world: &World, email: &str, password: &str) -> Answer {
    try_from(world, "127.0.0.1", json!({ "email": email, "password": password }))
}

#[track_caller]
fn browser(answer: Answer) -> Browser {
    assert_eq!(answer.status, 201, "{}", answer.body);
    let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    Browser { cookie, csrf: answer.body["csrf_token"].as_str().unwrap().to_owned() }
}

#[track_caller]
fn login(world: &World, email: &str) -> Browser {
    browser(try_login(world, email, PASSWORD))
}

/// Somebody who is invited with this body, accepts and logs in.
#[track_caller]
pub(super) fn entered(world: &World, invitation: Value) -> Browser {
    let invited = world.post(BOOTSTRAP, "/v1/users/invite", invitation).expect(201);
    accept(world, invited["invite_token"].as_str().unwrap(), "Ada", PASSWORD).expect(200);
    login(world, invited["email"].as_str().unwrap())
}

/// Everything that is recorded, as one text.
fn records(world: &World) -> String {
    world.get(BOOTSTRAP, "/v1/audit?page_size=1000").expect(200).to_string()
}
