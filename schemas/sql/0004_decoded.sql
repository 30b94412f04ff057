-- The text of encoded bodies (Content-Encoding), so that SQL can read what was said; `content` keeps what came.
--
-- Where an exchange has such rows the dictionaries read them instead: `bodies` shows both, and says which is which.

CREATE TABLE penstock.decoded
(
    exchange_id String,
    kind        LowCardinality(String) COMMENT 'prompt or chunk',
    seq         UInt32                 COMMENT 'place in the text: an event of a stream, or a piece of any other',
    body        String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (exchange_id, kind, seq)
;
CREATE OR REPLACE VIEW penstock.bodies AS
SELECT exchange_id, kind, if(kind = 'prompt', part, seq) AS place, body, false AS is_decoded
FROM penstock.content FINAL
WHERE topic = 'penstock.traffic.v1' AND NOT duplicate
    AND ((kind = 'prompt' AND part > 0) OR (kind = 'chunk' AND origin = 'upstream'))
UNION ALL
SELECT exchange_id, kind, seq AS place, body, true AS is_decoded
FROM penstock.decoded FINAL
;
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
        arrayFilter(
            text -> text != '',
            arrayConcat(
                arrayMap(
                    name -> if(JSONType(whole, name) = 'String', JSONExtractString(whole, name), ''),
                    ['system', 'prompt', 'input']
                ),
                arrayMap(piece -> JSONExtractString(piece, 'text'), JSONExtractArrayRaw(whole, 'system')),
                messages
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
        arrayMap(
            chunk -> arrayStringConcat(extractAll(chunk.3, '(?:^|[\\r\\n])data:[ ]?([^\\r\\n]*)'), '\n'), chunks
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
                        ''
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
            arrayMap(piece -> JSONExtractString(piece, 'text'), JSONExtractArrayRaw(whole, 'content'))
        )) AS answered
    SELECT exchange_id, if(startsWith(trimLeft(whole), '{'), answered, streamed) AS completion_text
    FROM penstock.bodies
    WHERE {condition} AND kind = 'chunk'
    GROUP BY exchange_id
$query$))
LAYOUT(COMPLEX_KEY_DIRECT())
;
