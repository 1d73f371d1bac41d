#!/usr/bin/env bash
# Says back what it hears. Run it with: folkmoot bot run --format text ./echo.sh
# Each line has seven fields between tabs; - stands for nothing. Text has \n, \t and \\ spelled out.
while IFS=$'\t' read -r type id message conversation kind sender text; do
    case $type in
    ready) echo "listening" >&2 ;; # standard error is for people
    message)
        [[ $text == - ]] && continue # a file, or something else without words
        # The id after # makes sure that the answer is sent once, whatever happens in between.
        printf 'reply#echo-%s\t%s\tYou said: %s\n' "$id" "$message" "$text"
        ;;
    member_joined) printf 'send#hello-%s\t%s\tHello!\n' "$id" "$conversation" ;;
    error) echo "error: $text" >&2 ;;
    stop) exit ;;
    esac
done
