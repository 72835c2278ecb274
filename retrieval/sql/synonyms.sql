-- What means the same in the collections that a search looks in, as far as the caller sees them.
select c.synonyms::text as synonyms from retrieval_collection c
where c.tenant_id = %(tenant)s and c.synonyms <> '[]'
  and (not %(named)s or c.name = any(%(names)s::text[]) or c.id = any(%(ids)s::uuid[]))
order by c.name
