-- Whether a session's account has given a code of its second factor. A constant default rewrites nothing,
-- and processes of the version before go on adding sessions without it.
alter table session add column second_factor boolean not null default false;
