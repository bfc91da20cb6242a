-- People: riders and the operators of the service, their sessions and their pay passwords.
create table rider (
    id            uuid        not null,
    user_name     text        not null,
    password_hash text        not null,
    role          text        not null default 'rider',
    nick_name     text,
    sex           text,
    email         text,
    phone         text,
    created_at    timestamptz not null default now(),
    constraint rider_pkey primary key (id),
    constraint rider_role_is_known check (role in ('rider', 'viewer', 'operator', 'admin')),
    constraint rider_user_name_is_bounded check (length(user_name) between 3 and 40)
);
create unique index rider_user_name_is_taken_once on rider (lower(user_name));

-- Apart from the rider, so that counting tries never touches the profile's row.
-- `wrong` tries are known; `checking` ones were let through and have not come back. Their sum never passes the limit.
create table pay_password (
    rider_id     uuid        not null,
    hash         text        not null,
    wrong        integer     not null default 0,
    checking     integer     not null default 0,
    checked_at   timestamptz not null default now(),
    locked_until timestamptz,
    constraint pay_password_pkey primary key (rider_id),
    constraint pay_password_rider_exists foreign key (rider_id) references rider (id),
    constraint pay_password_tries_are_counted check (wrong >= 0 and checking >= 0)
);

create table session (
    id         uuid        not null,
    rider_id   uuid        not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_at timestamptz,
    constraint session_pkey primary key (id),
    constraint session_rider_exists foreign key (rider_id) references rider (id)
);
-- Every API process reads what was revoked of late, twice a second.
create index session_by_revocation on session (revoked_at) where revoked_at is not null;
