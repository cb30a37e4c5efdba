//! `proof-server KIND…`: nats-servers of a kind, for tests in any language. Prints one line of JSON: addresses, certificates, and the
//! credentials that are accepted and those that are not. Then takes commands on stdin, a line each, and answers each with a
//! line of JSON; when stdin closes, all ends. Without arguments: what there is to say.

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    commands::main()
}

#[cfg(target_family = "wasm")]
fn main() {}

#[cfg(not(target_family = "wasm"))]
mod commands {
    use std::{
        io::{self, BufRead, Write},
        process::ExitCode,
    };

    use natskv_core::Seed;
    use natskv_kit::{
        proof::{Proof, WORDS},
        server::Server,
    };
    use serde_json::{Value, json};

    const COMMANDS: &[(&str, &str)] = &[
        ("kill [n]", "kill it without warning (of a cluster the n-th, from 0; all without a number)"),
        ("start [n]", "start it again on the same ports and files, and wait until it serves"),
        ("restart [n]", "both"),
        ("stop [n]", "ask it to end, as an operator does, and wait until it has"),
        ("lame-duck [n]", "tell it to shut down in a while"),
        ("freeze [n]", "let it stand still, its sockets open"),
        ("thaw [n]", "let it go on"),
        ("user SECONDS", "kind jwt: a new user for so many seconds; answers as one of `credentials`"),
        ("sign SEED NONCE", "answers with the `signature` of an nkey's seed, in hex"),
        ("revoke", "take the rights of the first of `credentials`"),
    ];

    pub(crate) fn main() -> ExitCode {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if words.is_empty() || words.iter().any(|word| word.starts_with('-')) {
            println!("proof-server KIND…\n\nkinds, to be combined (`open` alone: everyone is let in)");
            WORDS.iter().for_each(|(word, about)| println!("  {word:<16}{about}"));
            println!("\ncommands");
            COMMANDS.iter().for_each(|(command, about)| println!("  {command:<16}{about}"));
            return ExitCode::FAILURE;
        }
        let words = words.into_iter().filter(|word| *word != "open").collect::<Vec<_>>();
        match serve(&words) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn serve(words: &[&str]) -> io::Result<()> {
        let mut proof = Proof::start(words)?
            .ok_or_else(|| io::Error::other("no nats-server; set NATSKV_SERVER, or run `cargo xtask setup`"))?;
        tell(&proof.describe())?;
        for line in io::stdin().lock().lines() {
            tell(&obey(&mut proof, &line?).unwrap_or_else(|error| json!({"error": error.to_string()})))?;
        }
        Ok(())
    }

    fn tell(value: &Value) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{value}")?;
        out.flush()
    }

    fn obey(proof: &mut Proof, line: &str) -> io::Result<Value> {
        let mut words = line.split_whitespace();
        let (command, argument) = (words.next().unwrap_or_default(), words.next());
        if let ("sign", Some(seed), Some(nonce)) = (command, argument, words.next()) {
            let seed = Seed::parse(seed).map_err(io::Error::other)?;
            let signature: String = seed.sign(nonce.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
            return Ok(json!({"signature": signature}));
        }
        let number = argument.map(|text| text.parse::<i64>().map_err(io::Error::other)).transpose()?;
        match command {
            "user" => return proof.user(number.ok_or_else(|| io::Error::other("user SECONDS"))?),
            "revoke" => proof.revoke()?,
            "kill" => each(proof, number, Server::kill)?,
            "start" => {
                each(proof, number, Server::start_again)?;
                each(proof, number, |server| server.wait_until_ready())?;
            }
            "restart" => {
                each(proof, number, Server::kill)?;
                each(proof, number, Server::start_again)?;
                each(proof, number, |server| server.wait_until_ready())?;
            }
            "stop" => each(proof, number, Server::stop)?,
            "lame-duck" => each(proof, number, |server| server.signal("USR2"))?,
            "freeze" => each(proof, number, |server| server.signal("STOP"))?,
            "thaw" => each(proof, number, |server| server.signal("CONT"))?,
            other => return Err(io::Error::other(format!("no command {other:?}"))),
        }
        Ok(json!({"ok": line}))
    }

    fn each(proof: &mut Proof, number: Option<i64>, act: fn(&mut Server) -> io::Result<()>) -> io::Result<()> {
        let chosen = number.map(|n| usize::try_from(n).map_err(io::Error::other)).transpose()?;
        if chosen.is_some_and(|n| n >= proof.servers.len()) {
            return Err(io::Error::other(format!("there are {} servers, counted from 0", proof.servers.len())));
        }
        let servers = proof.servers.iter_mut().enumerate();
        servers.filter(|(at, _)| chosen.is_none_or(|n| n == *at)).try_for_each(|(_, server)| act(server))
    }
}
