-- The texts of Gemini: `contents` and `systemInstruction` of a prompt; candidates of an answer, whole, as events, or as the
-- elements of an array (each chunk is one; of an encoded body the pieces are cut anywhere, and only a whole array is read).

CREATE OR REPLACE DICTIONARY penstock.prompt_texts
(
    exchange_id String,
    prompt_text String
)
PRIMARY KEY exchange_id
SOURCE(CLICKHOUSE(QUERY $query$
    WITH
        groupArray((is_decoded, place, body)) AS found,
        arraySort(arrayFilter(part -> part.1 = arrayExists(one -> one.1, found), found)) AS parts,
        arrayStringConcat(arrayMap(part -> part.3, parts)) AS whole,
        arrayMap(
            message -> multiIf(
                JSONType(message, 'content') = 'String', JSONExtractString(message, 'content'),
                JSONType(message, 'content') = 'Array', arrayStringConcat(
                    arrayMap(piece -> JSONExtractString(piece, 'text'), JSONExtractArrayRaw(message, 'content')), '\n'
                ),
                ''
            ),
            JSONExtractArrayRaw(whole, 'messages')
        ) AS messages,
        arrayMap(
            turn -> arrayStringConcat(arrayFilter(text -> text != '', arrayMap(
                piece -> JSONExtractString(piece, 'text'), JSONExtractArrayRaw(turn, 'parts')
            )), '\n'),
            arrayConcat(
                [JSONExtractRaw(whole, 'systemInstruction'), JSONExtractRaw(whole, 'system_instruction')],
                JSONExtractArrayRaw(whole, 'contents')
            )
        ) AS turns,
        arrayFilter(
            text -> text != '',
            arrayConcat(
                arrayMap(
                    name -> if(JSONType(whole, name) = 'String', JSONExtractString(whole, name), ''),
                    ['system', 'prompt', 'input']
                ),
                arrayMap(piece -> JSONExtractString(piece, 'text'), JSONExtractArrayRaw(whole, 'system')),
                messages,
                turns
            )
        ) AS texts
    SELECT exchange_id, if(empty(texts), whole, arrayStringConcat(texts, '\n')) AS prompt_text
    FROM penstock.bodies
    WHERE {condition} AND kind = 'prompt'
    GROUP BY exchange_id
$query$))
LAYOUT(COMPLEX_KEY_DIRECT())
;
CREATE OR REPLACE DICTIONARY penstock.completion_texts
(
    exchange_id     String,
    completion_text String
)
PRIMARY KEY exchange_id
SOURCE(CLICKHOUSE(QUERY $query$
    WITH
        groupArray((is_decoded, place, body)) AS found,
        arraySort(arrayFilter(chunk -> chunk.1 = arrayExists(one -> one.1, found), found)) AS chunks,
        arrayStringConcat(arrayMap(chunk -> chunk.3, chunks)) AS whole,
        multiIf(
            NOT startsWith(trimLeft(whole), '['), arrayMap(
                chunk -> arrayStringConcat(extractAll(chunk.3, '(?:^|[\\r\\n])data:[ ]?([^\\r\\n]*)'), '\n'), chunks
            ),
            isValidJSON(whole), JSONExtractArrayRaw(whole),
            arrayMap(chunk -> replaceRegexpOne(chunk.3, '^[\\s,[]+', ''), chunks)
        ) AS payloads,
        arrayStringConcat(arrayMap(
            choice -> choice.2,
            arraySort(choice -> choice.1, arrayMap(
                payload -> (
                    JSONExtractInt(payload, 'choices', 1, 'index'),
                    multiIf(
                        JSONType(payload, 'choices', 1, 'delta', 'content') = 'String',
                        JSONExtractString(payload, 'choices', 1, 'delta', 'content'),
                        JSONType(payload, 'choices', 1, 'text') = 'String',
                        JSONExtractString(payload, 'choices', 1, 'text'),
                        JSONType(payload, 'delta', 'text') = 'String',
                        JSONExtractString(payload, 'delta', 'text'),
                        arrayStringConcat(arrayMap(
                            piece -> if(JSONExtractBool(piece, 'thought'), '', JSONExtractString(piece, 'text')),
                            JSONExtractArrayRaw(payload, 'candidates', 1, 'content', 'parts')
                        ))
                    )
                ),
                payloads
            ))
        )) AS streamed,
        arrayStringConcat(arrayConcat(
            arrayMap(
                choice -> multiIf(
                    JSONType(choice, 'message', 'content') = 'String', JSONExtractString(choice, 'message', 'content'),
                    JSONType(choice, 'text') = 'String', JSONExtractString(choice, 'text'),
                    ''
                ),
                JSONExtractArrayRaw(whole, 'choices')
            ),
            arrayMap(piece -> JSONExtractString(piece, 'text'), JSONExtractArrayRaw(whole, 'content')),
            arrayMap(
                piece -> if(JSONExtractBool(piece, 'thought'), '', JSONExtractString(piece, 'text')),
                arrayFlatten(arrayMap(
                    candidate -> JSONExtractArrayRaw(candidate, 'content', 'parts'),
                    JSONExtractArrayRaw(whole, 'candidates')
                ))
            )
        )) AS answered
    SELECT exchange_id, if(startsWith(trimLeft(whole), '{'), answered, streamed) AS completion_text
    FROM penstock.bodies
    WHERE {condition} AND kind = 'chunk'
    GROUP BY exchange_id
$query$))
LAYOUT(COMPLEX_KEY_DIRECT())
;
