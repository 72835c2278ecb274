-- Days of the open tenant from %(since)s to before %(today)s on which several roll-ups stand for the same names.
select day from billing_rollup
where tenant_id = wall.tenant() and day >= %(since)s and day < %(today)s
group by day
having count(*) > count(distinct (department_id, user_id, key_id, model_id, model, deployment_id, deployment, collections))
