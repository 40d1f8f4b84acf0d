-- options: -X -q
CREATE TABLE parent (id int PRIMARY KEY, n int CHECK (n > 0), d text, UNIQUE (n, d));
CREATE INDEX by_text ON parent (lower(d) DESC, n) INCLUDE (id) WHERE n > 1;
CREATE TABLE child (x int REFERENCES parent ON DELETE CASCADE, y int, z text,
    CONSTRAINT pair FOREIGN KEY (y, z) REFERENCES parent (n, d) ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE child ADD CONSTRAINT positive CHECK (y > 0) NOT VALID;
\d parent
\d child
\d nothing
