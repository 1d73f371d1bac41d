//! Says back what it hears. Run it with:
//!   rustc echo.rs && folkmoot bot run --format text ./echo
//! Each line has seven fields between tabs; - stands for nothing. Text has \n, \t and \\ spelled out.
use std::io::stdin;

fn main() {
    for line in stdin().lines().map_while(Result::ok) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [kind, id, message, conversation, _, _, text] = fields[..] else {
            continue;
        };
        match kind {
            "ready" => eprintln!("listening"), // standard error is for people
            // A file, or something else without words.
            "message" if text == "-" => {}
            // The id after # makes sure that the answer is sent once, whatever happens in between.
            "message" => println!("reply#echo-{id}\t{message}\tYou said: {text}"),
            "member_joined" => println!("send#hello-{id}\t{conversation}\tHello!"),
            "error" => eprintln!("error: {text}"),
            _ => {}
        }
    }
}
